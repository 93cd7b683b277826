"""Codecs as vendors publish them, in both layouts; all of them of our own writing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from devices.codecs.codec import Call
from devices.codecs.pool import CodecPool
from devices.codecs.repositories import Published, Unreadable, find
from devices.codecs.reuse import may_reuse
from devices.codecs.vectors import Trial, difference, try_one
from satomori.cli import app

HERE = Path(__file__).parent


async def trial_of(path: Path, name: str) -> Trial:
    [published] = [p for p in find(path) if isinstance(p, Published) and p.codec.name == name]
    async with CodecPool(workers=1) as pool:
        return await try_one(published, pool)


async def is_reusable(path: Path, name: str) -> bool:
    trial = await trial_of(path, name)
    async with CodecPool(workers=1) as pool:
        return await may_reuse(trial.published, pool)


async def test_examples_of_the_things_stacks_layout_hold() -> None:
    """Uplinks with times, warnings, errors and normalised values; downlinks both ways."""
    trial = await trial_of(HERE / "ttn", "mizu/level-codec")
    assert trial.misses == ()
    assert trial.count(is_uplink=True) == (3, 3)
    assert trial.count(is_uplink=False) == (2, 2)


async def test_examples_of_chirpstacks_layout_hold() -> None:
    """They are JavaScript with comments and hexadecimal numbers, and codecs may use Buffer."""
    trial = await trial_of(HERE / "chirpstack", "mizu/pulse")
    assert trial.misses == ()
    assert trial.count(is_uplink=True) == (1, 1)
    assert trial.count(is_uplink=False) == (1, 1)


async def test_the_older_form_of_a_codec_is_run() -> None:
    """``Decoder(bytes, port)`` gives the data itself; YAML 1.2 leaves on and 12:30:45 texts."""
    assert (await trial_of(HERE / "ttn", "mizu/mode-codec")).misses == ()


async def test_an_example_that_does_not_hold_is_named_with_its_reason() -> None:
    """And one that expects errors is content with an exception."""
    [miss] = (await trial_of(HERE / "ttn", "mizu/wrong-codec")).misses
    assert (miss.call, miss.title) == (Call.DECODE_UPLINK, "says too little")
    assert miss.problem == "output.data.b is missing"


async def test_examples_that_cannot_be_read_are_a_failure_of_their_codec() -> None:
    """A broken test file never makes a codec look as if it had nothing to fail."""
    [miss] = (await trial_of(HERE / "chirpstack", "mizu/quiet")).misses
    assert miss.problem.startswith("cannot be read: SyntaxError")


def test_files_that_cannot_be_read_are_named() -> None:
    """A script that is missing and a document that is no YAML; what is no codec is passed over."""
    unreadable = {u.file.name: u.problem for u in find(HERE / "ttn") if isinstance(u, Unreadable)}
    assert unreadable.keys() == {"broken-codec.yaml", "nowhere.js"}
    assert "line 2" in unreadable["broken-codec.yaml"]


@pytest.mark.parametrize(
    "path", ["ttn/vendor/mizu", "chirpstack/vendors/mizu", "chirpstack/vendors/mizu/codecs"]
)
def test_one_vendors_folder_can_be_read(path: str) -> None:
    """The same codecs under the same names as in the whole repository."""
    names = {p.codec.name for p in find(HERE / path) if isinstance(p, Published)}
    assert names & {"mizu/level-codec", "mizu/pulse"}


def test_one_script_can_be_read_with_the_examples_beside_it() -> None:
    """A single .js is a codec."""
    [one] = find(HERE / "chirpstack/vendors/mizu/codecs/pulse.js")
    assert isinstance(one, Published)
    assert [call for call, _ in one.loose] == [Call.DECODE_UPLINK, Call.ENCODE_DOWNLINK]


def test_a_folder_without_codecs_is_refused(tmp_path: Path) -> None:
    """Nothing checked is not the same as nothing wrong."""
    with pytest.raises(FileNotFoundError, match="neither a repository"):
        list(find(tmp_path))


async def test_a_codec_that_keeps_nothing_may_keep_its_context() -> None:
    """Every answer is the same whatever was asked before."""
    assert await is_reusable(HERE / "ttn", "mizu/level-codec")


async def test_a_codec_that_remembers_gets_a_fresh_context_for_each_message() -> None:
    """An empty message after a good one is told by what is left over."""
    assert not await is_reusable(HERE / "ttn", "mizu/mode-codec")


async def test_a_codec_without_examples_gets_fresh_contexts() -> None:
    """Nothing was shown of it."""
    assert not await is_reusable(HERE / "chirpstack", "mizu/quiet")


@pytest.mark.parametrize(
    ("expected", "found", "says"),
    [
        ({"a": 1}, {"a": 1.0}, ""),
        ({"a": 0.3}, {"a": 0.1 + 0.2}, ""),
        ({"a": None}, {}, ""),
        ({"a": True}, {"a": 1}, "output.a is 1 where True is expected"),
        ({"a": "1"}, {"a": 1}, "output.a is 1 where '1' is expected"),
        ({"a": [1, 2]}, {"a": [1]}, "output.a has 1 elements where 2 are expected"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "output.a[0].b is 2 where 1 is expected"),
        ({}, {"a": 1}, "output.a is not expected: 1"),
    ],
)
def test_two_outputs_are_compared_by_meaning(expected: object, found: object, says: str) -> None:
    """Numbers by size, absent as null, all else by type and value."""
    assert difference(expected, found) == says


def test_the_command_counts_and_names_what_fails() -> None:
    """``satomori codecs check PATH --json``, exit code 1 where an example does not hold."""
    done = CliRunner().invoke(app, ["codecs", "check", str(HERE / "ttn"), "--json"])
    said = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (said["codecs"], said["passed"], said["reusable"]) == (3, 2, 1)
    assert (said["uplink_vectors"], said["uplink_passed"]) == (6, 5)
    assert (said["downlink_vectors"], said["downlink_passed"]) == (2, 2)
    assert [f["codec"] for f in said["failures"]] == ["mizu/wrong-codec"]
    assert len(said["unreadable"]) == 2


def test_the_bench_prints_its_figures() -> None:
    """Keys, not times."""
    done = CliRunner().invoke(app, ["bench", "codecs", "--json"])
    said = json.loads(done.stdout)
    assert done.exit_code == 0
    assert said["warm_us_p50"] > 0
    assert 0 < said["fresh_us_p50"] <= said["fresh_us_p95"]
    assert said["messages_per_s"] > 0
