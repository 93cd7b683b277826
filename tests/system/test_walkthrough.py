"""The walkthrough in the docs, typed as it stands there."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from satomori.broker import find_mosquitto
from tests.conftest import ROOT
from tests.servers.satomori_system import free_ports
from tests.system.console import console, is_as_said, typed, walk

PAGE = ROOT / "docs" / "walkthrough-devices.md"
TOOLS = ("mosquitto_pub", "mosquitto_passwd", "curl")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A shell's, with `satomori` as this Python runs it; needs mosquitto and its tools."""
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "satomori"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m satomori "$@"\n')
    command.chmod(0o755)
    mqtt_port, web_port = free_ports(2)
    return {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
        "MQTT_PORT": str(mqtt_port),
        "WEB_PORT": str(web_port),
    }


def test_the_walkthrough_for_devices_is_as_it_says(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """From an empty system to a unit that was replaced."""
    folder = tmp_path / "city"
    folder.mkdir()
    with console(folder, environment) as shell:
        assert walk(PAGE, shell, deadline_s=120) > 30


def test_a_page_that_says_otherwise_is_found(tmp_path: Path) -> None:
    """Or the test above would hold whatever the page says."""
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo 12 devices\n11 devices\n```\n")
    with console(tmp_path, os.environ) as shell, pytest.raises(AssertionError, match="11 devices"):
        walk(page, shell, deadline_s=20)
    page.write_text("```console\n$ false\n```\n")
    with console(tmp_path, os.environ) as shell, pytest.raises(AssertionError, match="failed"):
        walk(page, shell, deadline_s=20)


def test_what_a_page_leaves_open_may_be_anything() -> None:
    """Dots stand for anything within a line, alone for any lines; all else must be there."""
    assert is_as_said(("a … c", "…", "end"), ["a b c", "x", "y", "end"])
    assert is_as_said(("…", "end"), ["end"])
    assert not is_as_said(("a … c",), ["a b"])
    assert not is_as_said(("a",), ["a", "b"])


def test_commands_are_found_where_they_stand() -> None:
    """With their further lines, and what they print."""
    (one,) = typed("# Title\n```console\n$ for n in 1; do\n>   echo $n\n> done\n1\n```\n")
    assert (one.line, one.command) == (3, "for n in 1; do\n  echo $n\ndone")
    assert one.printed == ("1",)
