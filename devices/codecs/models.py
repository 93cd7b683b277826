"""Which models of device a codec is for, as the published repositories say.

A network server names brand and model of what it hears, or a profile that people have named after
them: from that the codec can be suggested. Refuses to know units and the registry.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from devices.codecs import yaml_core

MAX_MODELS: Final = 64
"""Models that are kept of one codec."""

_SHORTEST: Final = 4  # characters of a model's name that are looked for in other text


@dataclass(frozen=True, slots=True)
class Model:
    """A model as published: ids are what The Things Stack's ``version_ids`` name."""

    brand: str
    model: str
    brand_name: str = ""
    model_name: str = ""


def models_in(folder: Path) -> dict[str, tuple[Model, ...]]:
    """The models of one vendor's folder, of either layout, by the stem of their codec's file."""
    found: dict[str, dict[Model, None]] = {}
    for codec, model in (*_ttn_models(folder), *_chirpstack_models(folder)):
        found.setdefault(codec, {})[model] = None
    return {codec: tuple(models)[:MAX_MODELS] for codec, models in found.items()}


def _ttn_models(folder: Path) -> Iterator[tuple[str, Model]]:
    brand_name = _ttn_brand_name(folder)
    for file in sorted(folder.glob("*.yaml")):
        document = _yaml(file)
        for version in _dicts(document.get("firmwareVersions")):
            profiles = version.get("profiles")
            for profile in _dicts(list(profiles.values()) if isinstance(profiles, dict) else []):
                if isinstance(codec := profile.get("codec"), str):
                    name = str(document.get("name") or "")
                    yield codec, Model(folder.name, file.stem, brand_name, name)


def _ttn_brand_name(folder: Path) -> str:
    vendors = _dicts(_yaml(folder.parent / "index.yaml").get("vendors"))
    return next((str(v.get("name") or "") for v in vendors if v.get("id") == folder.name), "")


def _chirpstack_models(folder: Path) -> Iterator[tuple[str, Model]]:
    brand_name = str(_dict(_toml(folder / "vendor.toml").get("vendor")).get("name") or "")
    for file in sorted((folder / "devices").glob("*.toml")):
        device = _dict(_toml(file).get("device"))
        for firmware in _dicts(device.get("firmware")):
            if isinstance(codec := firmware.get("codec"), str):
                name = str(device.get("name") or "")
                yield Path(codec).stem, Model(folder.name, file.stem, brand_name, name)


def _yaml(file: Path) -> Mapping[str, Any]:
    """A document; what cannot be read says nothing (that it cannot is told with its codec)."""
    try:
        return _dict(yaml_core.load(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError):
        return {}


def _toml(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


# -- what is heard → which codec


def likeness(model: Model, brand: str, said_model: str, profile: str) -> int:
    """How well what a network server says fits a model: 0 not at all … 4 brand and model by id.

    ``brand`` and ``said_model`` are its ids or names, ``profile`` free text of people
    (``Dragino LHT65 AS923``); each may be "".
    """
    brands = {_letters(model.brand), _letters(model.brand_name)} - {""}
    models = {_letters(model.model), _letters(model.model_name)} - {""}
    if _letters(said_model) in models:
        return 4 if _is_one(brand, brands) else 2 if not brand else 0
    if not _names_one(profile, {model.model, model.model_name}):
        return 0
    return 3 if any(one in _letters(f"{brand} {profile}") for one in brands) else 1


def best(likenesses: Sequence[tuple[int, str]], limit: int = 5) -> tuple[str, ...]:
    """Names of the greatest likeness first, those without any left out."""
    found = sorted({pair for pair in likenesses if pair[0]}, key=lambda pair: (-pair[0], pair[1]))
    return tuple(dict.fromkeys(name for _, name in found))[:limit]


def _is_one(said: str, brands: set[str]) -> bool:
    """Whether a brand is meant: ``milesight`` and ``milesight-iot`` are the same maker."""
    letters = _letters(said)
    return bool(letters) and any(
        one.startswith(letters) or letters.startswith(one) for one in brands
    )


def _names_one(text: str, names: set[str]) -> bool:
    """Whether a name stands in the text as whole words: ``LHT65`` is not in ``LHT65N``."""
    padded = f" {' '.join(_words(text))} "
    return any(
        f" {' '.join(words)} " in padded
        for name in names
        if len("".join(words := _words(name))) >= _SHORTEST
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower().replace("_", " "))[:32]


def _letters(text: str) -> str:
    return "".join(_words(text))
