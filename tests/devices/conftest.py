"""What the tests of the ground share: a registry on every database that Satomori runs on."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from devices.registry import Registry


@pytest.fixture
def registry(database: Engine) -> Registry:
    """A registry without devices."""
    return Registry(database)
