"""Print the licence of every package in a lock file; end with 1 if one is not permissive.

Reads what the installed distributions say of themselves, so run it in the environment that was
installed from that lock: ``.venv/bin/python tools/licences.py [requirements.lock]``.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

PERMISSIVE = re.compile(
    r"\b(MIT(-0|-CMU)?|BSD|[023]-?BSD|Apache|ISC|PSF|Python Software|Zlib|Unlicense|CC0)",
    re.IGNORECASE,
)
RECIPROCAL = re.compile(r"\bA?L?GPL|\bMPL|\bMozilla|\bEPL|\bCDDL|\bEUPL|GNU ", re.IGNORECASE)

REVIEWED = {
    "certifi": "a list of certificates, used as it is; MPL-2.0 binds changes of its own files only",
    "pathspec": "builds the wheel, is no part of it; MPL-2.0 binds changes of its own files only",
    "hypothesis": "runs tests, is no part of Satomori; MPL-2.0 as above",
}
"""Packages whose licence is reciprocal but binds nothing of ours, and why."""


def packages(lock: str) -> list[str]:
    """Names of the packages that a lock file pins, in its order."""
    return list(dict.fromkeys(re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)))


def licence(found: Distribution) -> str:
    """What a distribution says of its licence: SPDX expression, classifiers, or free text."""
    if expression := found.metadata.get_all("License-Expression"):
        return str(expression[0])
    classifiers = found.metadata.get_all("Classifier") or []
    named = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License ::")]
    if specific := [name for name in named if name != "OSI Approved"]:
        return "; ".join(specific)
    text = (found.metadata.get_all("License") or [""])[0].strip()
    return text.splitlines()[0][:60] if text else "unknown"


def is_permissive(said: str) -> bool:
    """Whether one of the licences that ``said`` leaves to choose from is permissive."""
    return any(
        PERMISSIVE.search(choice) and not RECIPROCAL.search(choice) for choice in said.split(" OR ")
    )


def main() -> None:
    """Print the table; say on stderr what is not permissive."""
    lock = Path(sys.argv[1] if len(sys.argv) > 1 else "requirements.lock")
    wrong = []
    for name in packages(lock.read_text(encoding="utf-8")):
        try:
            said = licence(distribution(name))
        except PackageNotFoundError:  # for another platform or Python
            sys.stdout.write(f"{name:<26} not installed here\n")
            continue
        note = "" if is_permissive(said) else REVIEWED.get(name, "NOT PERMISSIVE")
        if note == "NOT PERMISSIVE":
            wrong.append(name)
        sys.stdout.write(f"{name:<26} {said:<48} {note}".rstrip() + "\n")
    if wrong:
        sys.exit(f"not permissive: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
