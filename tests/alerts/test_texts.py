"""What people read: place, value, stage, time; unverified and drills say so first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.rules import default_rules_text, load_rules
from alerts.texts import Subject, message, stage_label
from alerts.transitions import Transition
from tests.alerts.test_ledger import step
from tests.alerts.world import device

GAUGE = device(3, name="taiheibashi", area="川内")
LINK = "https://satomori.example.jp/#station=taiheibashi"


def _about(one: Transition) -> Subject:
    return Subject(one, GAUGE, "water.level", LINK)


RISE = step(1, 4, 2, value=4.523, measured_at=1_795_372_000_000)


def test_a_japanese_message_says_what_was_measured_where_and_when() -> None:
    """The whole message, as it arrives."""
    text = message(_about(RISE), "ja")
    assert text.subject == "taiheibashi地点（川内）: 氾濫危険水位に達しました"
    assert text.body == (
        "場所: taiheibashi地点（川内）\n"
        "測定値: 水位 4.52 m\n"
        "段階: 氾濫注意水位 → 氾濫危険水位\n"
        "時刻: 2026-11-23 03:26:40 JST\n"
        "センサーの測定値をお知らせしています。\n"
        f"{LINK}\n"
    )


def test_an_english_message_says_the_same() -> None:
    """With the English label of the place."""
    text = message(_about(RISE), "en")
    assert text.subject == "Station taiheibashi (川内): flood danger level reached"
    assert "Measured: Water level 4.52 m\n" in text.body
    assert "Time: 2026-11-23 03:26:40 JST\n" in text.body


def test_unverified_and_drill_are_said_first_and_again_in_the_body() -> None:
    """Nobody may take either for a real, certain alarm."""
    doubtful = step(1, 4, is_verified=False, is_exercise=True)
    japanese, english = (message(_about(doubtful), lang) for lang in ("ja", "en"))
    assert japanese.subject.startswith("【訓練】【未確認】")
    assert "これは訓練です" in japanese.body
    assert "未確認です" in japanese.body
    assert english.subject.startswith("[EXERCISE] [UNVERIFIED] ")


def test_falls_and_clears_read_as_such() -> None:
    """The subject says which."""
    assert message(_about(step(1, 2, 4)), "ja").subject.endswith("氾濫注意水位まで下がりました")
    assert message(_about(step(1, 0, 2)), "ja").subject.endswith("平常（解除）")
    assert message(_about(step(1, 0, 2)), "en").subject.endswith("normal (cleared)")


@pytest.mark.parametrize("level", range(6))
def test_a_sensor_never_tells_anybody_to_leave(level: int) -> None:
    """No message orders an evacuation: it names a water level, people decide."""
    one = step(1, level, 0 if level else 3)
    for language in ("ja", "en"):
        text = message(_about(one), language)
        both = (text.subject + text.body).replace("避難判断水位", "")
        assert "避難" not in both
        assert "evacuate" not in both


def test_a_place_that_left_the_registry_still_has_a_message() -> None:
    """Its number stands for its name."""
    assert message(Subject(step(1, 2), None, None, ""), "ja").subject.startswith("#3: ")


def test_a_correction_says_that_it_is_one() -> None:
    """First of all, and once more in the body."""
    corrected = _about(step(1, 2, is_correction=True))
    assert message(corrected, "ja").subject.startswith("【訂正】")
    assert "遅れて届いた測定値により、先の状況を訂正します。" in message(corrected, "ja").body
    assert message(corrected, "en").subject.startswith("[CORRECTION] ")
    assert "A reading that arrived late corrects" in message(corrected, "en").body


def test_a_withdrawal_says_what_does_not_hold_and_what_is_so_now() -> None:
    """In both languages; that the value was doubtful is no matter any more."""
    gone = replace(_about(step(1, 4, is_verified=False)), now_stage="caution")
    japanese, english = message(gone, "ja"), message(gone, "en")
    assert japanese.subject.startswith("【訂正】")
    assert japanese.subject.endswith("氾濫危険水位は取り消します")
    assert "現在の段階: 氾濫注意水位" in japanese.body
    assert english.subject.endswith("flood danger level withdrawn")
    assert "Stage now: flood caution level" in english.body
    assert "未確認" not in japanese.subject + japanese.body


def test_every_stage_of_the_default_rules_has_a_label_in_both_languages() -> None:
    """No internal name reaches a reader."""
    for rule in load_rules(default_rules_text()).rules:
        kind = next(iter(rule.where.device_kinds), None)
        stages = [s.name for s in rule.stages] if rule.kind == "stages" else [rule.stage]
        for stage in stages:
            assert stage_label(stage, kind, "ja") != stage
            assert stage_label(stage, kind, "ja") != stage_label(stage, kind, "en")
