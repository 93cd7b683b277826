"""What JMA calls things, as a table that a city can replace (``jma_names.toml``).

JMA renames warnings and document types; nothing of that is code. Refuses to know documents.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

DEFAULT_FILE: Final = "jma_names.toml"


class NamesError(ValueError):
    """The table cannot be used; the text names path, value and reason. Mend the file."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_Word = Annotated[str, Field(min_length=1, max_length=100)]
_Level = Annotated[int, Field(ge=1, le=5)]


class Statuses(_Part):
    """The words of Control/Status, Head/InfoType and Kind/Status."""

    actual: tuple[_Word, ...]
    exercise: tuple[_Word, ...]
    issued: tuple[_Word, ...]
    corrected: tuple[_Word, ...]
    cancelled: tuple[_Word, ...]
    lifted: tuple[_Word, ...]
    lifted_codes: tuple[_Word, ...] = ()


class DocumentType(_Part):
    """One type of document: what it is for, where in it that stands, how much of it is needed.

    ``type`` is the beginning of the type in a file name. ``newest`` is how many documents, the
    newest first, are worth reading at once; ``every_s``: a newer one is read only after so long.
    """

    type: Annotated[str, Field(pattern=r"^[A-Z]{4}[0-9]{0,2}$")]
    role: Literal["warnings", "rain", "bulletin"]
    name: _Word
    section: _Word
    place: Literal["body", "headline"] = "body"
    groups: tuple[_Word, ...] = ()
    is_summary: bool = False
    offices: Literal["ours", "any"] = "ours"
    newest: Annotated[int, Field(ge=1, le=50)] = 5
    every_s: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _warnings_need_groups(self) -> DocumentType:
        if self.role == "warnings" and not self.groups:
            raise ValueError("a document of warnings needs groups")
        return self


class WarningKind(_Part):
    """One kind of warning of a group: its level (colour and order) and names."""

    code: _Word
    group: _Word
    level: _Level | None = None
    name: _Word
    name_en: str = ""
    is_lifted: bool = False


class RainQuantity(_Part):
    """One amount of rain by JMA's own word for it."""

    type: _Word
    name_en: str = ""


class Rain(_Part):
    """Which amounts of rain are read."""

    properties: tuple[_Word, ...]
    unit: _Word = "mm"
    quantities: tuple[RainQuantity, ...] = ()


class Tag(_Part):
    """What a bulletin is about."""

    condition: _Word
    name: _Word
    name_en: str = ""
    level: _Level | None = None


class Names(_Part):
    """The whole table."""

    statuses: Statuses
    documents: tuple[DocumentType, ...]
    kinds: tuple[WarningKind, ...]
    rain: Rain
    tags: tuple[Tag, ...] = ()

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> Names:
        kinds = [f"{kind.group} {kind.code}" for kind in self.kinds]
        types = [document.type for document in self.documents]
        for what, keys in (("kinds", kinds), ("documents", types)):
            twice = [key for key, count in Counter(keys).items() if count > 1]
            if twice:
                raise ValueError(f"{what}: {twice[0]} stands there twice")
        return self

    def document(self, type_: str) -> DocumentType | None:
        """The entry of a document type; the longest beginning wins."""
        fitting = [one for one in self.documents if type_.startswith(one.type)]
        return max(fitting, key=lambda one: len(one.type), default=None)

    def kind(self, code: str, groups: tuple[str, ...]) -> WarningKind | None:
        """The kind with this code among those of a document's groups."""
        found = (self._kinds.get((group, code)) for group in groups)
        return next((kind for kind in found if kind is not None), None)

    def tag(self, condition: str) -> Tag | None:
        """What is known of a bulletin's tag."""
        return next((tag for tag in self.tags if tag.condition == condition), None)

    def municipal_groups(self) -> frozenset[str]:
        """Groups that are said of each town, also that there is nothing: silence is no answer.

        Rivers are another matter: they are spoken of only when there is something.
        """
        said = (one for one in self.documents if one.role == "warnings" and one.place == "body")
        return frozenset(group for one in said for group in one.groups)

    def quantity_en(self, type_: str) -> str:
        """The English name of an amount of rain, empty where there is none."""
        found = (one.name_en for one in self.rain.quantities if one.type == type_)
        return next(found, "")

    @cached_property
    def _kinds(self) -> Mapping[tuple[str, str], WarningKind]:
        return {(kind.group, kind.code): kind for kind in self.kinds}


def default_names_text() -> str:
    """The table that comes with Satomori."""
    return resources.files("ingest.feeds").joinpath(DEFAULT_FILE).read_text(encoding="utf-8")


def load_names(text: str, where: str = DEFAULT_FILE) -> Names:
    """The table in ``text`` (TOML); raises NamesError that names every fault."""
    try:
        return Names.model_validate(tomllib.loads(text))
    except ValidationError as error:
        lines = (
            f"{where}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors()
        )
        raise NamesError("\n".join(lines)) from None
    except (ValueError, RecursionError) as error:
        raise NamesError(f"{where}: {error}") from None
