"""`satomori devices`: what a city has in the field, and what becomes of it.

The sub-commands and what they print; parses, calls, prints, decides nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from devices.units import UnitDraft
from satomori import downlink_command, waiting_command
from satomori.options import Config, Json
from satomori.settings import SettingsError, load_settings

devices_app = typer.Typer(
    no_args_is_help=True, help="Devices: import, list, show, replace, credentials, waiting list."
)
waiting_command.add_to(devices_app)
downlink_command.add_to(devices_app)


Service = Annotated[
    Literal["in", "out", "all"], typer.Option(help="In service, taken out, or all.")
]
At = Annotated[str, typer.Option(help="When, 2026-04-01T10:30 (Japan); default now.")]
Serial = Annotated[str, typer.Option(help="Serial number of the unit.")]
DevEui = Annotated[str, typer.Option(help="Its DevEUI, 16 hexadecimal digits.")]
Model = Annotated[str, typer.Option(help="Its model.")]
CodecName = Annotated[str, typer.Option(help="What reads its payloads: dragino/ldds75.")]
Rollover = Annotated[
    float | None, typer.Option(min=1, help="m3 at which its register begins anew: 100000.")
]
InitialReading = Annotated[
    float | None, typer.Option(min=0, help="What the new meter shows at first, m3.")
]


@devices_app.command("import")
def devices_import(
    file: Annotated[Path, typer.Argument(help="CSV (UTF-8 or CP932); - is standard input.")],
    config: Config = None,
    dry_run: Annotated[
        bool, typer.Option(help="Name every bad row and every change, change nothing.")
    ] = False,
    json_output: Json = False,
) -> None:
    """Register devices from a CSV file; nothing is changed if a row is bad.

    Columns that the file does not have leave devices that are there as they are.
    """
    from satomori.devices_administration import import_devices

    outcome = import_devices(load_settings(config), file, dry_run=dry_run)
    typer.echo(outcome.as_json() if json_output else outcome.as_text())
    if outcome.errors:
        raise typer.Exit(1)


@devices_app.command("export")
def devices_export(
    config: Config = None,
    output: Annotated[Path | None, typer.Option(help="File; default standard output.")] = None,
) -> None:
    """Write all devices in service as the CSV that `import` reads."""
    from satomori.devices_administration import export_devices

    text = export_devices(load_settings(config))
    if output is None:
        sys.stdout.buffer.write(text.encode())
        return
    try:
        output.write_bytes(text.encode("utf-8-sig"))  # with a mark, for spreadsheets
    except OSError as error:
        raise SettingsError(f"{output}: {error}") from None


@devices_app.command("list")
def devices_list(
    q: Annotated[str, typer.Argument(help="Part of name, label, site, serial, DevEUI.")] = "",
    kind: Annotated[str, typer.Option()] = "",
    area: Annotated[str, typer.Option(help="With all that lies in it.")] = "",
    owner: Annotated[str, typer.Option(help="Person or group.")] = "",
    tag: Annotated[str, typer.Option()] = "",
    service: Service = "in",
    config: Config = None,
    json_output: Json = False,
) -> None:
    """List devices."""
    from dashboards.registered import Wanted
    from satomori.devices_administration import list_devices

    wanted = Wanted(q=q, kind=kind, area=area, owner=owner, tag=tag, service=service)
    listing = list_devices(load_settings(config), wanted)
    typer.echo(listing.as_json() if json_output else listing.as_text())


@devices_app.command("show")
def devices_show(device: str, config: Config = None, json_output: Json = False) -> None:
    """Show all that the registry knows of DEVICE: units, heights, maintenance."""
    from satomori.devices_administration import show_device

    found = show_device(load_settings(config), device)
    typer.echo(found.as_json() if json_output else found.as_text())


@devices_app.command("replace")
def devices_replace(
    device: str,
    serial: Serial = "",
    dev_eui: DevEui = "",
    model: Model = "",
    codec: CodecName = "",
    final_reading: Annotated[
        float | None, typer.Option(min=0, help="What the old meter showed at last, m3.")
    ] = None,
    initial_reading: InitialReading = None,
    rollover_at: Rollover = None,
    at: At = "",
    config: Config = None,
) -> None:
    """Note that DEVICE has another unit (a new meter, another board); its series go on."""
    from satomori.devices_administration import replace_unit

    draft = _unit(serial, dev_eui, model, codec, rollover_at, initial_reading)
    typer.echo(
        replace_unit(load_settings(config), device, draft, final_reading=final_reading, at=at)
    )


@devices_app.command("correct")
def devices_correct(
    device: str,
    serial: Serial = "",
    dev_eui: DevEui = "",
    model: Model = "",
    codec: CodecName = "",
    initial_reading: InitialReading = None,
    rollover_at: Rollover = None,
    config: Config = None,
) -> None:
    """Mend what was noted wrongly of the unit in DEVICE; it stays the same unit."""
    from satomori.devices_administration import correct_unit

    draft = _unit(serial, dev_eui, model, codec, rollover_at, initial_reading)
    typer.echo(correct_unit(load_settings(config), device, draft))


@devices_app.command("decommission")
def devices_decommission(device: str, config: Config = None) -> None:
    """Take DEVICE out of service: its unit is free, its password void, its series stay."""
    from satomori.devices_administration import decommission

    typer.echo(decommission(load_settings(config), device))


@devices_app.command("datum")
def devices_datum(
    device: str,
    gauge_zero: Annotated[
        float | None, typer.Option(help="Elevation of the staff's zero, T.P. m.")
    ] = None,
    mounting_height: Annotated[
        float | None, typer.Option(help="The sensor above that zero, the road or the field, m.")
    ] = None,
    since: At = "",
    config: Config = None,
) -> None:
    """Note from when on the heights of DEVICE are others; stored readings stay as they are."""
    from satomori.devices_administration import add_datum

    typer.echo(
        add_datum(
            load_settings(config),
            device,
            gauge_zero_m=gauge_zero,
            mounting_height_m=mounting_height,
            since=since,
        )
    )


@devices_app.command("maintenance")
def devices_maintenance(
    device: str,
    until: Annotated[str, typer.Option(help="Its end, 2026-04-01T10:30 (Japan).")] = "",
    reason: Annotated[str, typer.Option(help="What is done there.")] = "",
    start: At = "",
    by: Annotated[str, typer.Option(help="Who does it.")] = "",
    cancel: Annotated[int | None, typer.Option(help="End the window of this number now.")] = None,
    config: Config = None,
) -> None:
    """Note that staff work at DEVICE for a while, or end that."""
    from satomori.devices_administration import cancel_maintenance, plan_maintenance

    settings = load_settings(config)
    if cancel is not None:
        typer.echo(cancel_maintenance(settings, device, cancel))
    elif not until or not reason:
        raise SettingsError("--until and --reason are needed, or --cancel NUMBER")
    else:
        typer.echo(
            plan_maintenance(settings, device, starts=start, ends=until, reason=reason, by=by)
        )


def _unit(
    serial: str,
    dev_eui: str,
    model: str,
    codec: str,
    rollover_at: float | None,
    initial_reading: float | None,
) -> UnitDraft:
    return UnitDraft(
        serial or None,
        dev_eui or None,
        model or None,
        rollover_at,
        initial_reading,
        codec or None,
    )
