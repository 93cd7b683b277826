"""Codecs are kept, enabled by their examples or by a person, and found by whoever decodes."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

import dashboards.tables  # noqa: F401 - its tables are known once it is read
from alerts import tables as alert_tables  # noqa: F401 - its tables are known once it is read
from devices.codecs import codec_store, tables
from devices.codecs.codec_store import Record, UnknownCodec
from devices.codecs.importing import decided
from devices.codecs.library import Library
from devices.codecs.mapping import NORMALIZED
from devices.codecs.mapping_text import from_text
from devices.codecs.models import Model, best, likeness, models_in
from devices.database import writing
from devices.registry import Registry
from satomori.cli import app
from satomori.codecs_import import Summary, import_codecs

HERE = Path(__file__).parent
NOW = 1_767_225_600_000
GOOD = "function decodeUplink(i) { return {data: {Distance: i.bytes[0] * 10, Bat_V: 3.6}} }"
OTHER = "function decodeUplink(i) { return {data: {dist_mm: i.bytes[0] * 10, Bat_V: 3.6}} }"
BAD = "function decodeUplink(i) { return {data: {Distance: 1250}} }"


def publish(folder: Path, script: str, *, examples: bool = True) -> Path:
    """A repository with one vendor and one codec."""
    codecs = folder / "vendors" / "kawa" / "codecs"
    codecs.mkdir(parents=True, exist_ok=True)
    (codecs / "ruler.js").write_text(script)
    said = (
        {"Distance": 1200, "Bat_V": 3.6}
        if "Distance" in script
        else {"dist_mm": 1200, "Bat_V": 3.6}
    )
    example = {"name": "far", "input": {"fPort": 1, "bytes": [120]}, "expected": {"data": said}}
    (codecs / "test_decode_ruler.json").write_text(json.dumps([example] if examples else []))
    return folder


async def take_in(database: Engine, path: Path, only: str = "", now: int = NOW) -> Summary:
    return await import_codecs(database, path, only, now, lambda _done, _name: None)


def confirm(database: Engine, name: str, *texts: str) -> None:
    with writing(database) as connection:
        codec_store.set_mapping(connection, name, from_text(texts), by="hanako", now=NOW)
    Registry(database).bump_revision()


def decide(database: Engine, name: str, is_enabled: bool) -> None:
    with writing(database) as connection:
        codec_store.set_enabled(connection, name, is_enabled, by="hanako", now=NOW)
    Registry(database).bump_revision()


async def test_codecs_that_pass_their_examples_are_enabled(database: Engine) -> None:
    """Those with a failing example wait for somebody; what fails is kept with its reason."""
    summary = await take_in(database, HERE / "ttn")
    kept = {record.name: record for record in codec_store.records(database)}
    assert {name: record.is_enabled for name, record in kept.items()} == {
        "mizu/level-codec": True,
        "mizu/mode-codec": True,
        "mizu/wrong-codec": False,
    }
    assert kept["mizu/wrong-codec"].failures[0]["problem"] == "output.data.b is missing"
    assert kept["mizu/level-codec"].may_reuse
    assert not kept["mizu/mode-codec"].may_reuse
    assert (summary.codecs, summary.enabled, summary.uplink_passed) == (3, 2, 5)
    assert len(summary.unreadable) == 2


async def test_a_codec_without_examples_stays_disabled(database: Engine, tmp_path: Path) -> None:
    """Nothing was shown of it."""
    summary = await take_in(database, publish(tmp_path, GOOD, examples=False))
    assert [o.text for o in summary.outcomes] == ["disabled: it has no examples"]
    assert Library(database).codec("kawa/ruler") is None


async def test_an_enabled_codec_without_a_confirmed_mapping_is_not_mapped(
    database: Engine, tmp_path: Path
) -> None:
    """The proposal is there, and holds only once a person has confirmed it."""
    await take_in(database, publish(tmp_path, GOOD))
    library = Library(database)
    found = library.codec("kawa/ruler")
    assert found is not None
    assert not found.is_mapped
    proposed = codec_store.record(database, "kawa/ruler").mapping
    assert proposed is not None
    assert {entry.quantity for entry in proposed.entries} == {"water.distance", "battery.voltage"}
    confirm(database, "kawa/ruler", "Distance=water.distance*0.001")
    found = library.codec("kawa/ruler")
    assert found is not None
    assert found.is_mapped


async def test_a_codec_that_normalizes_needs_no_confirmation(database: Engine) -> None:
    """Its maker says what its fields are, in names and units that are agreed."""
    await take_in(database, HERE / "ttn")
    found = Library(database).codec("mizu/level-codec")
    assert found is not None
    assert found.mapping == NORMALIZED


async def test_what_a_partial_normalize_uplink_leaves_out_is_said(database: Engine) -> None:
    """The battery arrives, and nobody would miss the water level that does not."""
    summary = await take_in(database, HERE / "ttn")
    assert {o.codec: o.unmapped for o in summary.outcomes}["mizu/level-codec"] == ("water.level",)


async def test_a_person_may_enable_and_disable(database: Engine) -> None:
    """Against what the examples say, in both directions."""
    await take_in(database, HERE / "ttn")
    library = Library(database)
    decide(database, "mizu/wrong-codec", True)
    assert library.codec("mizu/wrong-codec") is not None
    decide(database, "mizu/wrong-codec", False)
    assert library.codec("mizu/wrong-codec") is None
    with pytest.raises(UnknownCodec, match="'nowhere'"):
        decide(database, "nowhere", True)


async def test_importing_again_keeps_what_people_decided(database: Engine, tmp_path: Path) -> None:
    """State and confirmed mapping of a codec whose script is the same."""
    await take_in(database, publish(tmp_path, GOOD))
    confirm(database, "kawa/ruler", "Distance=water.distance*0.01")
    decide(database, "kawa/ruler", False)
    before = codec_store.record(database, "kawa/ruler")
    [outcome] = (await take_in(database, tmp_path, now=NOW + 9)).outcomes
    after = codec_store.record(database, "kawa/ruler")
    assert outcome.what == "same"
    assert replace(after, imported_at=NOW) == before


async def test_a_changed_script_that_passes_replaces_the_old_one(
    database: Engine, tmp_path: Path
) -> None:
    """Its confirmed mapping stays where it still finds all that it found before."""
    await take_in(database, publish(tmp_path, GOOD))
    confirm(database, "kawa/ruler", "Distance=water.distance*0.001")
    [outcome] = (await take_in(database, publish(tmp_path, GOOD + "// 1.1"))).outcomes
    assert outcome.text == "script replaced, enabled"
    found = Library(database).codec("kawa/ruler")
    assert found is not None
    assert found.codec.script.endswith("// 1.1")
    assert found.is_mapped


async def test_a_changed_script_with_other_names_must_be_mapped_anew(
    database: Engine, tmp_path: Path
) -> None:
    """A field that is called otherwise would go missing in silence."""
    await take_in(database, publish(tmp_path, GOOD))
    confirm(database, "kawa/ruler", "Distance=water.distance*0.001")
    [outcome] = (await take_in(database, publish(tmp_path, OTHER))).outcomes
    assert outcome.text.endswith("its mapping does not fit any more, confirm it anew")
    found = Library(database).codec("kawa/ruler")
    assert found is not None
    assert not found.is_mapped


async def test_a_changed_script_that_fails_is_disabled(database: Engine, tmp_path: Path) -> None:
    """Also where a person had enabled the old one: it is another program now."""
    await take_in(database, publish(tmp_path, GOOD))
    decide(database, "kawa/ruler", True)
    [outcome] = (await take_in(database, publish(tmp_path, BAD))).outcomes
    assert outcome.text.startswith("script replaced, disabled: decodeUplink 'far'")
    assert Library(database).codec("kawa/ruler") is None


async def test_a_codec_that_a_person_refused_stays_so_with_another_script(
    database: Engine, tmp_path: Path
) -> None:
    """They knew why."""
    await take_in(database, publish(tmp_path, GOOD))
    decide(database, "kawa/ruler", False)
    [outcome] = (await take_in(database, publish(tmp_path, GOOD + "// 1.1"))).outcomes
    assert outcome.text == "script replaced, still disabled by hanako"


async def test_an_import_raises_the_revision_once(database: Engine) -> None:
    """Whoever decodes looks again once, not for each codec."""
    before = Registry(database).revision()
    await take_in(database, HERE / "ttn")
    assert Registry(database).revision() == before + 1


async def test_only_one_vendor_is_taken_where_that_is_asked(
    database: Engine, tmp_path: Path
) -> None:
    """Of a repository of hundreds."""
    publish(tmp_path, GOOD)
    shutil.copytree(tmp_path / "vendors/kawa", tmp_path / "vendors/yama")
    await take_in(database, tmp_path, only="yama")
    assert [record.name for record in codec_store.records(database)] == ["yama/ruler"]


async def test_a_codec_is_read_once_a_revision(database: Engine, tmp_path: Path) -> None:
    """A message costs no query; a reader that knows the revision asks nobody."""
    await take_in(database, publish(tmp_path, GOOD))
    library = Library(database)
    revision = Registry(database).revision()
    first = library.codec("kawa/ruler", revision)
    with writing(database) as connection:
        connection.execute(tables.codec.delete())
    assert library.codec("kawa/ruler", revision) is first
    assert library.codec("kawa/ruler", revision + 1) is None


async def test_many_threads_may_ask_at_once(database: Engine, tmp_path: Path) -> None:
    """Both lanes, and pages."""
    await take_in(database, publish(tmp_path, GOOD))
    library = Library(database)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda n: library.codec("kawa/ruler", n // 20), range(100)))
    assert all(one is not None for one in found)


async def test_a_mapping_that_this_release_cannot_read_is_none(
    database: Engine, tmp_path: Path
) -> None:
    """Messages wait for a new one instead of being read wrongly."""
    await take_in(database, publish(tmp_path, GOOD))
    with writing(database) as connection:
        connection.execute(
            tables.codec.update().values(
                mapping={"entries": [{"path": "a", "quantity": "gone"}]}, is_mapping_confirmed=True
            )
        )
    found = Library(database).codec("kawa/ruler")
    assert found is not None
    assert not found.is_mapped
    assert codec_store.record(database, "kawa/ruler").mapping is None


async def test_codecs_are_suggested_for_what_a_network_server_names(database: Engine) -> None:
    """By ids of brand and model, by a model alone, by a profile that people have named."""
    await take_in(database, HERE / "ttn")
    await take_in(database, HERE / "chirpstack", only="mizu")
    library = Library(database)
    assert library.suggest("mizu", "wl-100") == ("mizu/level-codec",)
    assert library.suggest("Mizu Works", "WL-100 Water Level") == ("mizu/level-codec",)
    assert library.suggest("", "", "Mizu Works PM-7N AS923") == ("mizu/pulse",)
    assert library.suggest("", "", "PM-7NB") == ()
    assert library.suggest("other", "wl-100") == ()
    assert library.suggest("", "") == ()


def test_models_are_read_of_both_layouts() -> None:
    """A device names its codec, by firmware and region or by firmware."""
    assert models_in(HERE / "ttn/vendor/mizu") == {
        "level-codec": (Model("mizu", "wl-100", "Mizu Works", "WL-100 Water Level"),)
    }
    assert models_in(HERE / "chirpstack/vendors/mizu") == {
        "pulse": (Model("mizu", "pm-7", "Mizu Works", "PM-7N"),)
    }


def test_the_likeliest_codec_comes_first() -> None:
    """Brand and model, then a profile's name; each name once."""
    model = Model("milesight-iot", "em300-th", "Milesight IoT", "EM300-TH")
    assert likeness(model, "milesight", "em300-th", "") == 4
    assert likeness(model, "", "EM300-TH", "") == 2
    assert likeness(model, "", "", "Milesight IoT EM300-TH EU868") == 3
    assert likeness(model, "", "", "EM300-TH 5F") == 1
    assert likeness(model, "", "", "EM300-TH2") == 0
    assert best([(1, "b"), (4, "a"), (3, "b"), (0, "c")]) == ("a", "b")


def a_record(**changes: Any) -> Record:
    record = Record(
        name="kawa/ruler", script=GOOD, digest="1", source="", vendor="kawa", models=(),
        imported_at=NOW, uplink_vectors=1, uplink_passed=1, downlink_vectors=0, downlink_passed=0,
        failures=(), examples=({"data": {"d": 1}, "normalized": []},), may_reuse=True,
        is_enabled=False, decided_by="", decided_at=NOW, mapping=None, is_mapping_confirmed=False,
        mapped_by="", mapped_at=None,
    )  # fmt: skip
    return replace(record, **changes)


def test_examples_that_were_mended_enable_a_codec_nobody_refused() -> None:
    """And examples that have come to fail disable one that nobody had enabled."""
    failing = ({"call": "decodeUplink", "example": "x", "problem": "y"},)
    mended = decided(a_record(), a_record(failures=failing))
    assert (mended.record.is_enabled, mended.text) == (True, "enabled: its examples hold now")
    broken = decided(a_record(failures=failing), a_record(is_enabled=True))
    assert (broken.record.is_enabled, broken.word) == (False, "same")
    trusted = a_record(is_enabled=True, decided_by="hanako", failures=failing)
    assert decided(a_record(failures=failing), trusted).record.is_enabled


def test_the_commands_enable_map_and_guess(tmp_path: Path) -> None:
    """From a folder to a codec that decodes, on the command line alone."""
    settings = tmp_path / "satomori.toml"
    settings.write_text(f'[paths]\nvar = "{tmp_path / "var"}"\n')

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["codecs", *words, "--config", str(settings)])
        assert done.exit_code == code, done.output
        return done.output

    publish(tmp_path / "repo", BAD)
    said = json.loads(run("import", str(tmp_path / "repo"), "--json").splitlines()[-1])
    assert (said["codecs"], said["enabled"]) == (1, 0)
    assert "disabled" in run("list")
    assert "kawa/ruler: enabled; confirm how it is read" in run("enable", "kawa/ruler")
    assert "its name says distance" in run("guess", "kawa/ruler")
    assert "no quantity is called 'water.deep'" in run("map", "kawa/ruler", "D=water.deep", code=1)
    run("map", "kawa/ruler", "Distance=water.distance*0.001")
    [listed] = json.loads(run("list", "--json"))["codecs"]
    assert (listed["is_enabled"], listed["is_mapped"]) == (True, True)
    assert "mapping (confirmed):" in run("show", "kawa/ruler")
    assert "no codec is called 'kawa/nothing'" in run("show", "kawa/nothing", code=1)
    publish(tmp_path / "repo", GOOD)
    assert "script replaced" in run("import", str(tmp_path / "repo"))
    run("guess", "kawa/ruler", "--accept", "--kind", "river-gauge")
    shown = json.loads(run("show", "kawa/ruler", "--json"))
    assert {e["quantity"] for e in shown["mapping"]["entries"]} == {
        "water.distance",
        "battery.voltage",
    }
    assert "kawa/ruler: disabled" in run("disable", "kawa/ruler")
    assert "neither a repository of codecs" in run("import", str(tmp_path / "nowhere"), code=2)
