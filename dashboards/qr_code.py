"""Draws a QR code: for the page and a printer as SVG, for a terminal as text.

Refuses to know what stands in it. Error correction M: a label may lose 15 % and is still read.
"""

from __future__ import annotations

from io import BytesIO, StringIO

import segno


def as_svg(text: str) -> str:
    """A complete SVG document, black on white, with the quiet zone that readers need."""
    out = BytesIO()
    _code(text).save(out, kind="svg", scale=4, light="#fff", xmldecl=False)
    return out.getvalue().decode()


def as_text(text: str) -> str:
    """Lines of block characters for a dark or light terminal."""
    out = StringIO()
    _code(text).terminal(out, compact=True)
    return out.getvalue()


def _code(text: str) -> segno.QRCode:
    return segno.make_qr(text, error="m")
