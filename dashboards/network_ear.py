"""What web keeps of network servers' messages: progress of downlinks, where each device hangs.

Called by the quarantine writer, which reads the journal anyway: what it keeps and the journal's
position are one transaction. Refuses to know readings (intake translates them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from dashboards import downlink_book
from devices.frames import RawFrame
from devices.networks import NetworkKind, read
from devices.networks.messages import DownlinkProgress, Joined, Uplink

_MOST_KNOWN: Final = 100_000
_UP_EVENTS: Final = frozenset({"up", "join"})


class NetworkEar:
    """Hears raw frames of the network servers in the settings. For one thread."""

    def __init__(self, kinds: Mapping[str, NetworkKind]) -> None:
        """``kinds`` by the network's name in the settings."""
        self._kinds = dict(kinds)
        self._dev_euis: dict[tuple[str, str], str] = {}  # (network, topic of the device) → DevEUI
        self._places: dict[str, tuple[str, str]] = {}  # DevEUI → (network, topic of the device)

    def start(self) -> None:
        """Forget: what was noted last may not have been kept."""
        self._dev_euis, self._places = {}, {}

    def wants(self, frame: RawFrame) -> bool:
        """Whether the frame may say something new; cheap, since most do not."""
        if frame.network not in self._kinds:
            return False
        place, event = _parts(frame.topic)
        if event not in _UP_EVENTS:
            return True
        key = (frame.network, place)
        return self._places.get(self._dev_euis.get(key, "")) != key

    def note(self, connection: Connection, frames: Sequence[RawFrame]) -> None:
        """Keep what they say."""
        for frame in frames:
            said = read(self._kinds[frame.network], frame.topic, frame.payload)
            if isinstance(said, DownlinkProgress) and said.id:
                downlink_book.note_progress(connection, said, frame.received_at)
            elif isinstance(said, Uplink | Joined):
                sender = said.sender
                downlink_book.note_sender(connection, frame.network, sender, frame.received_at)
                self._remember((frame.network, _parts(frame.topic)[0]), sender.dev_eui)

    def _remember(self, key: tuple[str, str], dev_eui: str) -> None:
        if len(self._dev_euis) >= _MOST_KNOWN:
            self.start()
        self._dev_euis[key] = dev_eui
        self._places[dev_eui] = key


def _parts(topic: str) -> tuple[str, str]:
    """(what stands for the device, the event) of a topic of either server."""
    place, _, event = topic.rpartition("/")
    return place, event
