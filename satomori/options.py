"""Options that sub-commands share. Refuses to know what is done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path | None, typer.Option(help="Settings file; see satomori.toml.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")]
