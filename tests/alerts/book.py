"""What stands after a row of changes, kept as a reader of the ledger would see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from alerts.engine import Engine
from alerts.transitions import Change, Correction, Transition

Matter = tuple[str, int, bool, int, int | None, float | None]
"""An alarm: (rule, place, is it a drill, opened at, cleared at, peak)."""


class Book:
    """Transitions that stand by id, and peaks by alarm; what cannot be is an AssertionError."""

    def __init__(self) -> None:
        self.standing: dict[str, Transition] = {}
        self.peaks: dict[str, float] = {}
        self.withdrawn: set[str] = set()

    def note(self, changes: Iterable[Change], peaks: Mapping[str, float] | None = None) -> None:
        """Take changes in, in their order, and then the peaks that rose."""
        for one in changes:
            if isinstance(one, Transition):
                assert one.id not in self.standing, f"told twice: {one}"
                self.standing[one.id] = one
            else:
                self._correct(one)
        for alarm, peak in (peaks or {}).items():
            self.peaks[alarm] = max(peak, self.peaks.get(alarm, peak))

    def _correct(self, one: Correction) -> None:
        for gone in one.withdrawn:
            assert self.standing.pop(gone.transition.id, None) == gone.transition
            self.withdrawn.add(gone.transition.id)
        for stands in one.stands:
            self.standing[stands.id] = stands
        assert one.to_tell <= {t.id for t in one.stands}
        for alarm, peak in one.peaks.items():
            self.peaks.pop(alarm, None)
            if peak is not None:
                self.peaks[alarm] = peak

    def alarms(self) -> dict[str, list[Transition]]:
        """The standing transitions of each alarm, by event time; each chain is whole."""
        chains: dict[str, list[Transition]] = {}
        for one in sorted(self.standing.values(), key=lambda t: t.measured_at):
            chains.setdefault(one.alarm, []).append(one)
        for chain in chains.values():
            assert chain[0].is_opening, chain[0]
            for before, after in pairwise(chain):
                assert before.measured_at < after.measured_at
                assert (before.to_stage, before.to_level) == (after.from_stage, after.from_level)
                assert not before.is_clearing
        return chains

    def open(self) -> dict[str, Transition]:
        """Alarm → its last transition, of those that are open."""
        return {a: c[-1] for a, c in self.alarms().items() if not c[-1].is_clearing}

    def agrees_with(self, engine: Engine) -> None:
        """Assert that the engine knows what is open."""
        assert set(engine.open_alarms()) == set(self.open())

    def peaks_standing(self) -> dict[str, float]:
        """The peaks of the alarms that stand."""
        return {alarm: peak for alarm, peak in self.peaks.items() if alarm in self.alarms()}

    def matters(self) -> set[Matter]:
        """All alarms by event time, whatever their ids."""
        return {
            (
                c[0].rule,
                c[0].device if c[0].series is None else c[0].series,
                c[0].is_exercise,
                c[0].measured_at,
                c[-1].measured_at if c[-1].is_clearing else None,
                self.peaks.get(alarm),
            )
            for alarm, c in self.alarms().items()
        }

    def said(self) -> set[tuple[str, int | None, int, str, str, bool, bool, float | None]]:
        """The standing transitions by what they say, whatever their ids."""
        return {
            (t.rule, t.series, t.measured_at, t.from_stage, t.to_stage, t.is_verified,
             t.is_exercise, t.value)
            for t in self.standing.values()
        }  # fmt: skip
