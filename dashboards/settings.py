"""What the web process is told at its start that is not a part of the system."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class MapView:
    """Where the map opens. ``center`` is (longitude, latitude); ``tiles`` an XYZ template or ""."""

    center: tuple[float, float] = (130.30, 31.81)
    zoom: float = 11.0
    tiles: str = ""
    attribution: str = ""

    @property
    def tile_origin(self) -> str:
        """``https://host`` of the tiles, "" without tiles or with tiles of our own."""
        parts = urlsplit(self.tiles)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
