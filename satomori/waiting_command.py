"""`satomori devices credential | credentials | enrolment-key | waiting | accept | refuse`.

Parses, calls, prints; decides nothing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from satomori.options import Config, Json
from satomori.settings import SettingsError, load_settings


def add_to(app: typer.Typer) -> None:
    """Hang these commands into `satomori devices`."""
    for name, command in (
        ("credential", credential),
        ("credentials", credentials),
        ("enrolment-key", enrolment_key),
        ("waiting", waiting),
        ("accept", accept),
        ("refuse", refuse),
    ):
        app.command(name)(command)


def credential(
    device: str,
    config: Config = None,
    qr: Annotated[bool, typer.Option("--qr", help="Draw a QR code here, too.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Write the QR code to this file.")] = None,
    json_output: Json = False,
) -> None:
    """Make a new broker password for the unit in DEVICE; it is shown once."""
    from dashboards.qr_code import as_svg, as_text
    from satomori.provisioning import make_credential

    if svg is not None and svg.exists():
        raise SettingsError(f"{svg}: is there already")
    card = make_credential(load_settings(config), device)
    if json_output:
        typer.echo(
            json.dumps(
                {
                    "device": card.device, "username": card.device, "password": card.password,
                    "topics": dict(card.topics), "address": card.address,
                }
            )
        )  # fmt: skip
    else:
        typer.echo(card.as_text())
    if qr:
        typer.echo(as_text(card.address))
    if svg is not None:
        _write_private(svg, as_svg(card.address))


def credentials(
    out: Annotated[Path, typer.Option(help="CSV to write; mode 0600, must not be there.")],
    missing: Annotated[bool, typer.Option("--missing", help="Of devices that have none.")] = False,
    config: Config = None,
) -> None:
    """Make broker passwords for all devices that have none, into a CSV of username and password."""
    from satomori.provisioning import make_missing_credentials

    if not missing:
        raise SettingsError("say --missing: passwords that hold are never made anew all at once")
    made = make_missing_credentials(load_settings(config), out)
    typer.echo(f"{made} passwords in {out}" if made else "no device lacks a password")


def enrolment_key(
    revoke: Annotated[bool, typer.Option("--revoke", help="End enrolment.")] = False,
    config: Config = None,
) -> None:
    """Make the key with which unknown devices may ask to be admitted; it is shown once.

    A new key makes the one before void.
    """
    from satomori.provisioning import make_enrolment_key, revoke_enrolment_key

    settings = load_settings(config)
    typer.echo(revoke_enrolment_key(settings) if revoke else make_enrolment_key(settings))


def waiting(
    state: Annotated[
        Literal["waiting", "accepted", "refused"], typer.Option(help="Which of them.")
    ] = "waiting",
    config: Config = None,
    json_output: Json = False,
) -> None:
    """List devices that were heard and that nobody has registered."""
    from satomori.provisioning import list_waiting

    found = list_waiting(load_settings(config), state)
    if json_output:
        typer.echo(json.dumps({"candidates": found}, ensure_ascii=False))
        return
    for one in found:
        hints = one["hints"]
        kind = hints.get("kind") or hints.get("guessed_kind") or "?"
        named = " ".join(filter(None, (hints.get("name"), hints.get("brand"), hints.get("model"))))
        print_ = f"{one['id']:>6} {one['identity_kind']:<8} {one['identity']:<24} {kind:<20} "
        claim = f"[{one['fingerprint']}] " if one["fingerprint"] else ""
        typer.echo(f"{print_}{one['messages']:>6} × {one['source']} {claim}{named}".rstrip())
    if not found:
        typer.echo(f"nobody is {state}")


def accept(
    candidate: Annotated[str, typer.Argument(help="Number, DevEUI, name or serial number.")],
    name: Annotated[str, typer.Option(help="Name of the device, as in its topics.")],
    kind: Annotated[str, typer.Option(help="What it is for; default: what it says.")] = "",
    label: Annotated[str, typer.Option()] = "",
    area: Annotated[str, typer.Option()] = "",
    site: Annotated[str, typer.Option()] = "",
    latitude: Annotated[float | None, typer.Option()] = None,
    longitude: Annotated[float | None, typer.Option()] = None,
    codec: Annotated[str, typer.Option(help="Codec that reads its payloads.")] = "",
    replaces: Annotated[
        bool, typer.Option("--replaces", help="NAME is there already; this is its new unit.")
    ] = False,
    since_first_heard: Annotated[
        bool, typer.Option("--since-first-heard", help="The new unit is there since then.")
    ] = False,
    is_sure: Annotated[
        bool, typer.Option("--sure", help="Another one claims its serial number; this is right.")
    ] = False,
    final_reading: Annotated[
        float | None, typer.Option(min=0, help="Old meter's last, m3.")
    ] = None,
    initial_reading: Annotated[float | None, typer.Option(min=0, help="New one's first.")] = None,
    qr: Annotated[bool, typer.Option("--qr", help="Draw a QR code, if it needs one.")] = False,
    config: Config = None,
) -> None:
    """Register a device from the waiting list; what it said before appears, too."""
    from dashboards.admission import Wish
    from dashboards.qr_code import as_text
    from satomori.provisioning import accept_waiting

    wish = Wish(
        name, kind, label, area, site, latitude, longitude, codec or None,
        replaces=replaces, since_first_heard=since_first_heard, is_sure=is_sure,
        final_reading=final_reading, initial_reading=initial_reading,
    )  # fmt: skip
    done = accept_waiting(load_settings(config), candidate, wish)
    typer.echo(f"{done.device} ({done.kind}); {done.resubmitted} earlier messages are taken in")
    if done.card is not None:
        typer.echo(done.card.as_text())
        if qr:
            typer.echo(as_text(done.card.address))


def refuse(
    candidate: Annotated[str, typer.Argument(help="Number, DevEUI, name or serial number.")],
    take_back: Annotated[
        bool, typer.Option("--take-back", help="Let a refused one wait again.")
    ] = False,
    config: Config = None,
) -> None:
    """Strike a device off the waiting list; it is not listed again."""
    from satomori.provisioning import refuse_waiting, take_back_refused

    settings = load_settings(config)
    if take_back:
        take_back_refused(settings, candidate)
    else:
        refuse_waiting(settings, candidate)


def _write_private(file: Path, text: str) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
