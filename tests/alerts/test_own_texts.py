"""The installation's own alarms read as sentences, with one thing to do, in both languages."""

from __future__ import annotations

import pytest

from alerts import own_texts
from alerts.own_clock import _STAGES as CLOCK_STAGES
from alerts.rules import default_rules_text, load_rules
from alerts.texts import Language, Subject, message
from devices.kinds import INSTALLATION
from tests.alerts.test_ledger import step
from tests.alerts.world import device

SATOMORI = device(9, name="satomori", kind=INSTALLATION.name)
OWN_RULES = [
    rule
    for rule in load_rules(default_rules_text()).rules
    if INSTALLATION.name in rule.where.device_kinds
]


def test_every_stage_of_the_installations_rules_has_its_sentence() -> None:
    stages = {stage.name for rule in OWN_RULES if rule.kind == "stages" for stage in rule.stages}
    stages |= {stage for stage, _ in CLOCK_STAGES.values()}
    assert stages | {"silent"} == own_texts.STAGES.keys()


def test_every_quantity_of_these_rules_has_a_name_and_is_measured() -> None:
    quantities = {rule.quantity for rule in OWN_RULES if rule.kind == "stages"}
    assert quantities == own_texts.QUANTITIES.keys()
    assert quantities <= set(INSTALLATION.quantities)


@pytest.mark.parametrize(
    ("language", "subject", "line"),
    [
        (
            "ja",
            "ブローカーがメッセージを破棄しました",
            "測定値: 破棄されたメッセージ 20.00 件/分\n",
        ),
        ("en", "The broker has dropped messages", "Measured: Messages dropped 20.00 a minute\n"),
    ],
)
def test_a_letter_says_what_happened_since_when_and_what_to_do(
    language: Language, subject: str, line: str
) -> None:
    opened = step(1, 4, 0, to_stage="dropping", value=20.0)
    text = message(Subject(opened, SATOMORI, "broker.messagesDropped", ""), language)
    assert text.subject.endswith(subject)
    assert line in text.body
    assert own_texts.STAGES["dropping"].to_do[language == "en"] in text.body
    assert own_texts.GUIDE in text.body
