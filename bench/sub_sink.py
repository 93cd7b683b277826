"""The sink where there is no C compiler: mosquitto_sub, counted. Speaks like `csink`.

python -m bench.sub_sink '{"port": …, "username": …, "password": …, "authority": null,
                           "clients": {"name": ["filter", …], …}}'
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from typing import Any, Final

_READ: Final = 1 << 16


def main() -> None:
    """Count until told that all is there."""
    given = json.loads(sys.argv[1])
    clients = [_command(given, name, filters) for name, filters in given["clients"].items()]
    for command in clients:  # makes the session and ends: what comes from now on is kept for it
        subprocess.run([*command, "-E"], check=True, stdout=subprocess.DEVNULL)
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE) for command in clients]
    ears = selectors.DefaultSelector()
    for reader in readers:
        ears.register(_output(reader), selectors.EVENT_READ)
    ears.register(0, selectors.EVENT_READ)
    _say({"ready": True})
    try:
        _count(ears)
    finally:
        for reader in readers:
            reader.terminate()
            reader.wait()


def _count(ears: selectors.BaseSelector) -> None:
    messages, wanted, newest_at, said_at = 0, None, 0.0, 0.0
    while wanted is None or messages < wanted:
        for key, _ in ears.select(0.2):
            read = os.read(key.fd, _READ)
            if key.fd == 0:
                if not read:
                    return
                wanted = int(read.split()[1])
            elif not read:
                sys.exit("mosquitto_sub ended")
            else:
                messages, newest_at = messages + read.count(b"\n"), time.monotonic()
        if time.monotonic() - said_at > 0.5:
            said_at = time.monotonic()
            _say({"done": False, "messages": messages})
    _say({"done": True, "messages": messages, "repeated": 0, "at": newest_at})


def _command(given: dict[str, Any], name: str, filters: list[str]) -> list[str]:
    tls = ["--cafile", given["authority"]] if given["authority"] else []
    topics = [word for topic in filters for word in ("-t", topic)]
    return [
        "mosquitto_sub", "-h", "127.0.0.1", "-p", str(given["port"]), "-u", given["username"],
        "-P", given["password"], *tls, "-i", name, "-c", "-q", "1", "-F", ".", *topics,
    ]  # fmt: skip


def _output(reader: subprocess.Popen[bytes]) -> int:
    assert reader.stdout is not None
    return reader.stdout.fileno()


def _say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
