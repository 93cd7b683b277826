"""Rule sets are accepted whole or refused whole, with path, value and reason."""

from __future__ import annotations

import json
import tomllib

import pytest
from sqlalchemy import Engine

from alerts.rule_store import save_rules, stored_rules
from alerts.rules import RuleError, default_rules_text, load_rules
from devices.drafts import STAGES
from devices.kinds import FIELD_KINDS
from devices.registry import Registry

RIVER = """
[[rules]]
name = "river"
kind = "stages"
quantity = "water.level"
stages = [{ name = "caution", level = 2 }]
"""


def test_the_default_rules_name_every_stage_that_the_registry_knows() -> None:
    """River gauges and flood sensors: each stage a place may have a threshold for has a level."""
    rules = load_rules(default_rules_text()).rules
    named = {
        kind: tuple(s.name for s in rule.stages)
        for rule in rules
        if rule.kind == "stages"
        for kind in rule.where.device_kinds
        if kind in FIELD_KINDS
    }
    assert named == dict(STAGES)
    (river,) = [r for r in rules if r.name == "river-stage"]
    assert river.kind == "stages"
    assert river.hysteresis == 0.05


@pytest.mark.parametrize(
    ("line", "path", "value", "reason"),
    [
        ('surprise = 1', "rules.0.stages.surprise", "1", "Extra inputs are not permitted"),
        ('hysteresis = -1', "rules.0.stages.hysteresis", "-1", "greater than or equal to 0"),
        ('hysteresis = nan', "rules.0.stages.hysteresis", "nan", "finite number"),
        ('hold_up_ms = "soon"', "rules.0.stages.hold_up_ms", "'soon'", "valid integer"),
        ('where = { device_kinds = ["boat"] }', "rules.0.stages.where.device_kinds", "…",
         "unknown kind of device 'boat'"),
        ('where = { planet = "mars" }', "rules.0.stages.where.planet", "'mars'", "Extra inputs"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_path_value_and_reason(
    line: str, path: str, value: str, reason: str
) -> None:
    """One wrong line and the whole set is refused."""
    with pytest.raises(RuleError) as refused:
        load_rules(RIVER + line)
    (problem,) = refused.value.problems
    assert (problem.path, problem.value) == (path, value)
    assert reason in problem.reason
    assert path in str(refused.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (RIVER + RIVER, "rule 'river' is there twice"),
        (RIVER.replace("water.level", "tea.level"), "unknown quantity 'tea.level'"),
        (RIVER.replace('kind = "stages"', 'kind = "magic"'), "does not match any of the expected"),
        (RIVER.replace("level = 2", "level = 6"), "less than or equal to 5"),
        (RIVER.replace("}]", '}, { name = "x", level = 1 }]'), "must rise"),
        (RIVER.replace("}]", ", value = 3 }, { name = 'x', level = 4, value = 2 }]"), "must rise"),
        (RIVER + '[[routes]]\nname="r"\nrules=["lake"]\nchannels=["mail"]', "unknown rule 'lake'"),
        (RIVER + '[[routes]]\nname = "r"\nchannels = ["pigeon"]', "'mail', 'webhook' or 'log'"),
        ("[[rules", "Expected"),
        ("{", "Expecting"),
    ],
)  # fmt: skip
def test_a_wrong_set_is_refused(text: str, reason: str) -> None:
    """Names, levels, references, and texts that are not even TOML or JSON."""
    with pytest.raises(RuleError, match=reason):
        load_rules(text)


def test_a_latched_event_takes_no_hold() -> None:
    """It opens and clears at once, or it would not be one alarm a springing."""
    event = '[[rules]]\nname="t"\nkind="event"\nquantity="trap.triggered"\nlatched=true\n'
    load_rules(event)
    with pytest.raises(RuleError, match="takes no hold"):
        load_rules(event + "hold_up_ms = 1000")


def test_the_version_is_of_the_rules_and_not_of_how_they_are_written() -> None:
    """TOML and JSON, comments and defaults spelled out: one version. One value more: another."""
    version = load_rules(RIVER).version
    assert load_rules("# a comment\n" + RIVER + "hysteresis = 0.0\n").version == version
    assert load_rules(json.dumps(tomllib.loads(RIVER))).version == version
    assert load_rules(RIVER + "hysteresis = 0.1\n").version != version


def test_saved_rules_hold_from_the_next_revision_on(database: Engine) -> None:
    """The newest row holds, older versions can still be had, the registry's revision rises."""
    registry = Registry(database)
    assert stored_rules(database) is None
    first, second = load_rules(RIVER), load_rules(RIVER + "hysteresis = 0.1\n")
    before = registry.revision()
    save_rules(database, first, by="installation", now=1)
    save_rules(database, second, by="aki", now=2)
    assert stored_rules(database) == second
    assert stored_rules(database, first.version) == first
    assert registry.revision() > before
