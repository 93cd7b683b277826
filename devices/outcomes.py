"""What became of data from the field that is not simply good: values, never exceptions.

Refuses to know who counts, keeps or shows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SHOWN_CHARS: Final = 80
"""How much of an offending value a person is shown."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A whole message that gave nothing; ``reason`` is a short snake_case word that is counted.

    Reasons in use: ``unknown_topic``, ``unknown_device``, ``kind_mismatch``, ``not_carried``,
    ``bad_json``, ``bad_cbor``, ``bad_senml``, ``bad_lpp``, ``bad_shape``, ``no_values``,
    ``too_large``; where a codec is needed ``no_codec``, ``no_mapping``, ``codec_failed``,
    ``unknown_network``, ``translation_failed``. ``detail`` says where and what.
    """

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Remark:
    """One field of a message that was left out while the rest was kept.

    ``path`` is where it stood (``v["water.level"]``, ``[3].t``); ``value`` what stood there, cut to
    ``SHOWN_CHARS``; ``reason`` a short snake_case word: ``not_finite``, ``not_a_number``,
    ``unknown_quantity``, ``bad_type``, ``duplicate_key``, …
    """

    path: str
    value: str
    reason: str


def shown(value: object) -> str:
    """The value as a person may see it: one line, at most ``SHOWN_CHARS`` characters."""
    if isinstance(value, (dict, list, tuple, set)):
        text = f"{type(value).__name__} of {len(value)}"
    elif isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        text = f"integer of {value.bit_length()} bits"  # str() refuses 4300 digits and more
    elif isinstance(value, (bytes, bytearray)):
        text = bytes(value[: SHOWN_CHARS * 4]).decode("utf-8", "backslashreplace")
    else:
        text = str(value)
    text = "".join(map(_printable, text[: SHOWN_CHARS + 1]))
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def _printable(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]
