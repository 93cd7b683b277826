"""All fuzz targets by name; run as a program it prints the names."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fuzz import answers, files, formats, networks, wire
from tests.fuzz.target import Target

TARGETS: Mapping[str, Target] = {
    target.name: target
    for part in (wire, formats, networks, files, answers)
    for target in part.TARGETS
}

if __name__ == "__main__":
    print(*TARGETS)  # noqa: T201 - for `make fuzz`
