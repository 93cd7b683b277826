"""The log as a channel: for a demo, and as a record beside the others."""

from __future__ import annotations

from typing import Final

import structlog

from alerts.delivery import Letter, Outcome, Sent

log = structlog.get_logger()


class LogChannel:
    """Writes one line a letter. A line written twice carries the same key."""

    is_repeatable: Final = True

    async def send(self, letter: Letter) -> Outcome:
        """Always sent."""
        log.info(
            "alerts.delivery.told",
            route=letter.address,
            subject=letter.message.subject,
            key=letter.key,
        )
        return Sent()
