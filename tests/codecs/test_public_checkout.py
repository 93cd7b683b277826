"""A public checkout of codecs, whose path is in SATOMORI_CODECS_CHECKOUT; skipped without one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from satomori.codecs_command import check_codecs

CHECKOUT = os.environ.get("SATOMORI_CODECS_CHECKOUT", "")
SHARE = 0.984


@pytest.mark.skipif(not CHECKOUT, reason="SATOMORI_CODECS_CHECKOUT names no checkout of codecs")
async def test_the_examples_of_a_public_checkout_hold() -> None:
    """As many as with the best engine that was tried."""
    report = await check_codecs(Path(CHECKOUT))
    assert report.uplink_vectors
    assert report.uplink_passed >= SHARE * report.uplink_vectors, report.as_text()
    assert report.downlink_passed >= SHARE * report.downlink_vectors, report.as_text()
