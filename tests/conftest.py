"""What all tests share: where real inputs are, which servers must be there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something of the machine, nothing of the code.
settings.register_profile("satomori", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("satomori")

pytest_plugins = ["tests.servers.mosquitto", "tests.servers.postgres", "tests.servers.influx"]

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = Path(os.environ.get("SATOMORI_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture
def shared_data() -> Path:
    """The folder of real inputs (rivers, meters); skipped by name where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real inputs are not on this machine (SATOMORI_TEST_DATA)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; the test is skipped by name where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("chromium is not installed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under SATOMORI_REQUIRE_SERVERS=1 (CI) a skipped test is a failure, unless it is named.

    ``SATOMORI_MAY_SKIP`` lists, comma-separated, words of skip reasons that are allowed there
    (a server that cannot be built on the machine, whose older sibling stands in).
    """
    report = yield
    if report.skipped and os.environ.get("SATOMORI_REQUIRE_SERVERS") == "1":
        reason = str(report.longrepr)
        allowed = [w for w in os.environ.get("SATOMORI_MAY_SKIP", "").split(",") if w]
        if not any(word in reason for word in allowed) and not hasattr(report, "wasxfail"):
            report.outcome = "failed"
            report.longrepr = f"skipped where nothing may be skipped: {reason}"
    return report
