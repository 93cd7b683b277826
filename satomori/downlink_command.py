"""`satomori devices downlink | downlinks`. Parses, calls, prints; decides nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from satomori.options import Config, Json
from satomori.settings import load_settings


def add_to(app: typer.Typer) -> None:
    """Hang these commands into `satomori devices`."""
    app.command("downlink")(downlink)
    app.command("downlinks")(downlinks)


def downlink(
    device: str,
    port: Annotated[
        int | None, typer.Option(min=1, max=223, help="LoRaWAN port; the codec may know it.")
    ] = None,
    hex_bytes: Annotated[str, typer.Option("--hex", help="Bytes: 01000a.")] = "",
    data: Annotated[
        str, typer.Option("--json", help='For the codec of the unit: {"interval_min": 10}.')
    ] = "",
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="The device is to acknowledge it.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to look whether it is sent or acknowledged.")
    ] = 0.0,
    config: Config = None,
) -> None:
    """Send something to DEVICE by way of its network server, once.

    A device of class A hears it after its next uplink. An unconfirmed downlink ends as sent.
    """
    from satomori.downlinks import Sending, as_text, send

    wanted = Sending(device, port, hex_bytes, data, confirmed)
    sent = send(load_settings(config), wanted, wait_s=wait)
    typer.echo(as_text(sent))
    if sent.step in {"failed", "unknown"}:
        raise typer.Exit(1)


def downlinks(device: str, config: Config = None, json_output: Json = False) -> None:
    """What was sent to DEVICE, and how far each has come; the newest first."""
    from satomori.downlinks import listed

    found = listed(load_settings(config), device)
    typer.echo(found.as_json() if json_output else found.as_text())
