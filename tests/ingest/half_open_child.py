"""Run in a network of its own (``unshare -n``): the link dies while the consumer reads nothing.

Prints ``paused`` and then ``lost`` with the reason, or nothing more for ever.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys

from ingest import mqtt
from ingest.mqtt import BrokerAddress, Consumer, Link
from ingest.mqtt_session import Greeting
from tests.ingest.field import now_ms

CONNACK = b"\x20\x03\x00\x00\x00"
SUBACK = b"\x90\x04\x00\x01\x00\x01"
MESSAGES = b"".join(b"\x32\x07\x00\x01t\x00%c\x00x" % packet_id for packet_id in range(1, 5))


async def _broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greets, sends more than may be pending, and says nothing more."""
    await reader.read(1000)
    writer.write(CONNACK)
    await reader.read(1000)
    writer.write(SUBACK + MESSAGES)
    await reader.read()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    mqtt.MAX_PENDING = 3  # type: ignore[misc]  # a small one for the test
    server = await asyncio.start_server(_broker, "127.0.0.1", 0)
    paused, lost = asyncio.Event(), asyncio.get_running_loop().create_future()

    def on_link(link: Link) -> None:
        if not link.is_up and not lost.done():
            lost.set_result(link.error)

    consumer = Consumer(
        Greeting("reader", [("field/#", 0x01)], keep_alive_s=int(sys.argv[1])),
        BrokerAddress("127.0.0.1", server.sockets[0].getsockname()[1]),
        now=now_ms,
        on_messages=paused.set,  # nobody takes them: more are pending than may be
        on_link=on_link,
        on_session_lost=lambda _: None,
    )
    running = asyncio.create_task(consumer.run())
    await paused.wait()
    _say("paused")
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    _say(f"lost {await lost}")
    running.cancel()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
