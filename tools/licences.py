"""Say whether every package that lock files pin is permissively licensed; end with 1 if one is not.

Reads what the installed distributions say of themselves, so run it in the environment that was
installed from those locks: ``.venv/bin/python tools/licences.py [-v] LOCK…``; ``-v`` prints a
table.
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
    "quickjs-ng": "says nothing in its metadata; its licence file, and the engine's, is MIT",
    "hypothesis": "runs tests, is no part of Satomori; MPL-2.0 as above",
}
"""Packages whose licence is reciprocal but binds nothing of ours, or unsaid, and why."""


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
    """Print how many were looked at, reciprocal ones with the reason, the table if asked."""
    is_verbose = "-v" in sys.argv[1:]
    locks = [Path(name) for name in sys.argv[1:] if name != "-v"]
    names = sorted({name for lock in locks for name in packages(lock.read_text(encoding="utf-8"))})
    wrong = []
    for name in names:
        try:
            said = licence(distribution(name))
        except PackageNotFoundError:
            said = "not installed here: for another platform or Python"
            verdict = ""
        else:
            verdict = "" if is_permissive(said) else REVIEWED.get(name, "NOT PERMISSIVE")
        if is_verbose or verdict:
            sys.stdout.write(f"{name:<26} {said:<50} {verdict}".rstrip() + "\n")
        if verdict == "NOT PERMISSIVE":
            wrong.append(name)
    if wrong:
        sys.exit(f"not permissive: {', '.join(wrong)}")
    sys.stdout.write(f"Licences: {len(names)} packages, all permissive or reviewed.\n")


if __name__ == "__main__":
    main()
