"""Finds codecs and their examples in a folder: a published repository, one vendor of it, or a file.

Layouts that are known, by what lies there:

* TheThingsNetwork/lorawan-devices: ``vendor/<vendor>/<codec>.yaml``, which names scripts and
  examples
* chirpstack-device-profiles: ``vendors/<vendor>/codecs/<codec>.js`` with
  ``test_decode_<codec>.json`` and ``test_encode_<codec>.json``
* a single ``.js``, with the tests of either layout beside it if there are any

Refuses to know engines: nothing of what is read here is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from devices.codecs import yaml_core
from devices.codecs.codec import MAX_SCRIPT_BYTES, Call, Codec

_TTN_PARTS: Final = (
    ("uplinkDecoder", Call.DECODE_UPLINK),
    ("downlinkEncoder", Call.ENCODE_DOWNLINK),
    ("downlinkDecoder", Call.DECODE_DOWNLINK),
)
_CHIRPSTACK_PARTS: Final = (
    ("test_decode", Call.DECODE_UPLINK),
    ("test_encode", Call.ENCODE_DOWNLINK),
)


@dataclass(frozen=True, slots=True)
class Vector:
    """An example that comes with a codec: ``given`` must yield ``expected``.

    ``expects_normalized`` is what ``normalizeUplink`` must make of it, None if that is not said.
    """

    call: Call
    title: str
    given: Mapping[str, Any]
    expected: Mapping[str, Any]
    expects_normalized: Any = None


@dataclass(frozen=True, slots=True)
class Published:
    """A codec as its maker publishes it. ``file`` is where its script stands.

    ``loose`` are texts of examples that are still to be read: published ones are JavaScript
    (hexadecimal numbers, comments, bare names) rather than JSON.
    """

    codec: Codec
    vectors: tuple[Vector, ...]
    file: Path
    loose: tuple[tuple[Call, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that should have been a codec or its examples, and what is wrong with it."""

    file: Path
    problem: str


def find(path: Path) -> Iterator[Published | Unreadable]:
    """All codecs at ``path``, by name. Raises FileNotFoundError where there is none at all."""
    path = path.resolve()
    if path.is_file():
        yield from _single(path)
        return
    found = False
    for folder in _vendor_folders(path):
        for one in _ttn_vendor(folder):
            found = True
            yield one
        for one in _chirpstack_vendor(folder):
            found = True
            yield one
    if not found:
        raise FileNotFoundError(f"{path}: neither a repository of codecs, nor a vendor's folder")


def _vendor_folders(path: Path) -> list[Path]:
    for name in ("vendor", "vendors"):
        if (path / name).is_dir():
            return sorted(p for p in (path / name).iterdir() if p.is_dir())
    return [path.parent if path.name == "codecs" else path]


# -- TheThingsNetwork/lorawan-devices


def _ttn_vendor(folder: Path) -> Iterator[Published | Unreadable]:
    for file in sorted(folder.glob("*.yaml")):
        try:
            document = yaml_core.load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
            if "codec" in file.name:
                yield Unreadable(file, " ".join(str(error).split()))
            continue
        if isinstance(document, dict) and any(part in document for part, _ in _TTN_PARTS):
            yield from _ttn_codec(file, document)


def _ttn_codec(file: Path, document: Mapping[str, Any]) -> Iterator[Published | Unreadable]:
    """One codec for each script that the document names (mostly it is one for all parts)."""
    by_script: dict[str, list[Vector]] = {}
    for part, call in _TTN_PARTS:
        said = document.get(part)
        if isinstance(said, dict) and isinstance(said.get("fileName"), str):
            vectors = by_script.setdefault(said["fileName"], [])
            vectors += _ttn_vectors(call, said.get("examples") or [])
    for script, vectors in by_script.items():
        name = f"{file.parent.name}/{file.stem}"
        name = name if len(by_script) == 1 else f"{name}/{Path(script).stem}"
        yield _published(name, file.parent / script, vectors)


def _ttn_vectors(call: Call, examples: Sequence[Any]) -> Iterator[Vector]:
    for number, example in enumerate(examples, 1):
        if not isinstance(example, dict):
            continue
        yield Vector(
            call,
            str(example.get("description") or f"example {number}"),
            example.get("input") or {},
            example.get("output") or {},
            (example.get("normalizedOutput") or {}).get("data"),
        )


# -- chirpstack-device-profiles


def _chirpstack_vendor(folder: Path) -> Iterator[Published | Unreadable]:
    for script in sorted((folder / "codecs").glob("*.js")):
        yield from _chirpstack_codec(script, f"{folder.name}/{script.stem}")


def _chirpstack_codec(script: Path, name: str) -> Iterator[Published | Unreadable]:
    loose: list[tuple[Call, str]] = []
    for prefix, call in _CHIRPSTACK_PARTS:
        file = script.with_name(f"{prefix}_{script.stem}.json")
        if not file.is_file():
            continue
        try:
            loose.append((call, file.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            yield Unreadable(file, str(error))
    yield _published(name, script, (), tuple(loose))


def loose_vectors(call: Call, examples: Sequence[Any]) -> Iterator[Vector]:
    """The examples of a ``test_….json`` whose text has been read."""
    for number, example in enumerate(examples, 1):
        yield Vector(
            call,
            str(example.get("name") or f"example {number}"),
            example.get("input") or {},
            example.get("expected") or {},
        )


# -- a single script


def _single(file: Path) -> Iterator[Published | Unreadable]:
    if file.suffix in {".yaml", ".yml"}:
        yield from _ttn_codec(file, yaml_core.load(file.read_text(encoding="utf-8")))
    else:
        yield from _chirpstack_codec(file, file.stem)


def _published(
    name: str,
    script: Path,
    vectors: Sequence[Vector],
    loose: tuple[tuple[Call, str], ...] = (),
) -> Published | Unreadable:
    try:
        data = script.read_bytes()
    except OSError as error:
        return Unreadable(script, error.strerror or str(error))
    if len(data) > MAX_SCRIPT_BYTES:
        return Unreadable(script, f"{len(data)} bytes where {MAX_SCRIPT_BYTES} are read")
    text = data.decode("utf-8", "replace").replace("\0", "").removeprefix("\ufeff")
    return Published(Codec(name, text), tuple(vectors), script, loose)
