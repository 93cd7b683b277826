"""A gateway speaks for the devices that the registry lets it carry, as it stands now."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from devices.database import metadata, open_database
from devices.drafts import DeviceDraft
from devices.registry import Registry
from ingest.decode import Decoder

T = 1_767_225_600_000


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Two gateways; the first one carries the meter, nobody the trap."""
    database: Engine = open_database(f"sqlite:///{tmp_path / 'town.db'}")
    metadata.create_all(database)
    registry = Registry(database)
    registry.register(
        [
            DeviceDraft("first", "gateway"),
            DeviceDraft("second", "gateway"),
            DeviceDraft("meter", "water-meter", gateway="first"),
            DeviceDraft("trap", "trap"),
        ],
        T,
    )
    return registry


def said_of(registry: Registry, gateway: str, device: str) -> str:
    """Why a message of a gateway about a device is refused, "" if it is taken."""
    body = {"d": device, "t": T, "v": {"battery.voltage": 3.6}}
    found = Decoder(registry.snapshot()).decode(
        [f"field/v1/gateway/{gateway}/up/routine".encode()],
        [json.dumps(body).encode()],
        np.array([T], np.int64),
    )
    assert len(found.value) + len(found.rejected) == 1
    return found.rejected[0][1].reason if found.rejected else ""


def test_a_gateway_carries_what_the_registry_gives_it_and_nothing_else(registry: Registry) -> None:
    assert said_of(registry, "first", "meter") == ""
    assert said_of(registry, "second", "meter") == "not_carried"
    assert said_of(registry, "first", "trap") == "not_carried"
    assert said_of(registry, "first", "first") == "", "a gateway speaks for itself"


def test_a_device_that_gets_another_gateway_is_heard_through_that_one_alone(
    registry: Registry,
) -> None:
    registry.register([DeviceDraft("meter", "water-meter", gateway="second")], T + 1)
    assert said_of(registry, "first", "meter") == "not_carried"
    assert said_of(registry, "second", "meter") == ""


def test_a_device_out_of_service_is_not_carried_any_more(registry: Registry) -> None:
    registry.decommission("meter", T + 1)
    assert said_of(registry, "first", "meter") == "unknown_device"


def test_a_gateway_out_of_service_speaks_for_nobody(registry: Registry) -> None:
    registry.decommission("first", T + 1)
    assert said_of(registry, "first", "meter") == "unknown_device"
