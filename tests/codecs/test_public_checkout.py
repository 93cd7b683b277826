"""Public checkouts of codecs, whose paths are in SATOMORI_CODECS_CHECKOUT, as in PATH.

Skipped by name without one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from satomori.codecs_command import check_codecs

CHECKOUTS = [p for p in os.environ.get("SATOMORI_CODECS_CHECKOUT", "").split(os.pathsep) if p]
SHARE = 0.984


@pytest.mark.skipif(not CHECKOUTS, reason="SATOMORI_CODECS_CHECKOUT names no checkout of codecs")
@pytest.mark.parametrize("checkout", CHECKOUTS or ["none"])
async def test_the_examples_of_a_public_checkout_hold(checkout: str) -> None:
    """As many as with the best engine that was tried."""
    report = await check_codecs(Path(checkout))
    assert report.uplink_vectors
    assert report.downlink_vectors
    assert report.uplink_passed >= SHARE * report.uplink_vectors, report.as_text()
    assert report.downlink_passed >= SHARE * report.downlink_vectors, report.as_text()
