"""Asks the registry for new series without waiting longer than a lane can bear.

The database may be away, locked, or silent. Then the answer is SeriesUnavailable within moments,
and nobody is asked again for a while; what was asked for may still be done behind, which is no
harm: a pair gets its series once. Refuses to know messages and what is done without a series.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from devices.frames import SeriesDefinition
from ingest.lane import AddSeries, SeriesUnavailable

log = structlog.get_logger()

PATIENCE_S: Final = 2.0
PATIENCE_A_PAIR_S: Final = 0.001  # a new fleet may bring thousands at once
ASK_AGAIN_S: Final = 5.0

_Definitions = tuple[SeriesDefinition, ...]


class SeriesDesk:
    """One lane's way to the registry; itself an ``AddSeries``."""

    def __init__(
        self,
        add_series: AddSeries,
        *,
        patience_s: float = PATIENCE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._add_series, self._patience_s, self._monotonic = add_series, patience_s, monotonic
        self._asked: Future[_Definitions] | None = None
        self._ask_again_at = 0.0
        self.outage = ""

    def __call__(self, wanted: Collection[tuple[int, str]]) -> _Definitions:
        """The definitions of all wanted pairs; raises SeriesUnavailable."""
        if self._asked is not None and not self._asked.done():
            raise SeriesUnavailable(self.outage)
        if self._monotonic() < self._ask_again_at:
            raise SeriesUnavailable(self.outage)
        self._asked = self._ask(list(wanted))
        try:
            found = self._asked.result(self._patience_s + len(wanted) * PATIENCE_A_PAIR_S)
        except TimeoutError:
            raise self._note_outage("the database does not answer") from None
        except SQLAlchemyError as error:
            raise self._note_outage(str(error).partition("\n")[0]) from error
        if self.outage:
            self.outage = ""
            log.warning("ingest.series.available")
        return found

    def _ask(self, wanted: list[tuple[int, str]]) -> Future[_Definitions]:
        """In a thread that nothing waits for at the end of the process."""
        asked: Future[_Definitions] = Future()
        work = threading.Thread(target=self._answer, args=(asked, wanted), daemon=True)
        work.start()
        return asked

    def _answer(self, asked: Future[_Definitions], wanted: list[tuple[int, str]]) -> None:
        try:
            found = self._add_series(wanted)
        except (SQLAlchemyError, LookupError) as error:
            asked.set_exception(error)
        else:
            asked.set_result(found)

    def _note_outage(self, reason: str) -> SeriesUnavailable:
        if reason != self.outage:
            log.error("ingest.series.unavailable", reason=reason)
        self.outage = reason
        self._ask_again_at = self._monotonic() + ASK_AGAIN_S
        return SeriesUnavailable(reason)
