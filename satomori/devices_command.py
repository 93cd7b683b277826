"""`satomori devices`: what a city has in the field, and what becomes of it.

The sub-commands and what they print; parses, calls, prints, decides nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from satomori import waiting_command
from satomori.options import Config, Json
from satomori.settings import load_settings

devices_app = typer.Typer(no_args_is_help=True, help="Devices: import, list, credentials.")
waiting_command.add_to(devices_app)


@devices_app.command("import")
def devices_import(
    file: Path,
    config: Config = None,
    dry_run: Annotated[bool, typer.Option(help="Name every bad row, change nothing.")] = False,
    json_output: Json = False,
) -> None:
    """Register devices from a CSV file; nothing is changed if a row is bad."""
    from satomori.administration import import_devices

    outcome = import_devices(load_settings(config), file, dry_run=dry_run)
    typer.echo(outcome.as_json() if json_output else outcome.as_text())
    if outcome.errors:
        raise typer.Exit(1)


@devices_app.command("list")
def devices_list(config: Config = None, json_output: Json = False) -> None:
    """List the devices in service."""
    from satomori.administration import list_devices

    listing = list_devices(load_settings(config))
    typer.echo(listing.as_json() if json_output else listing.as_text())


@devices_app.command("replace")
def devices_replace(
    device: str,
    serial: Annotated[str, typer.Option(help="Serial number of the new unit.")] = "",
    dev_eui: Annotated[str, typer.Option(help="Its DevEUI, 16 hexadecimal digits.")] = "",
    model: Annotated[str, typer.Option()] = "",
    final_reading: Annotated[
        float | None, typer.Option(min=0, help="What the old meter showed at last, m3.")
    ] = None,
    initial_reading: Annotated[
        float | None, typer.Option(min=0, help="What the new meter shows at first, m3.")
    ] = None,
    rollover_at: Annotated[
        float | None, typer.Option(min=1, help="m3 at which its register begins anew: 100000.")
    ] = None,
    at: Annotated[str, typer.Option(help="When, 2026-04-01T10:30 (Japan); default now.")] = "",
    config: Config = None,
) -> None:
    """Note that DEVICE has another unit (a new meter, another board); its series go on."""
    from devices.units import UnitDraft
    from satomori.administration import replace_unit

    draft = UnitDraft(serial or None, dev_eui or None, model or None, rollover_at, initial_reading)
    typer.echo(
        replace_unit(load_settings(config), device, draft, final_reading=final_reading, at=at)
    )
