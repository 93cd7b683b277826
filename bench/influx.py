"""An InfluxDB of the bench's own, where none is given. Refuses to know what is written to it."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from bench.options import BenchError, Options, Servers
from bench.processes import free_port


@contextlib.contextmanager
def own_influx(options: Options, servers: Servers, folder: Path) -> Iterator[str]:
    """The store's URL: "" for DuckDB, the one that was given, or that of a server started here."""
    if options.store == "duckdb" or options.store_url:
        yield options.store_url
        return
    if servers.influxd is None:
        raise BenchError("--store influxdb: no influxd is found here, and no --store-url is given")
    url = f"http://127.0.0.1:{free_port()}"
    command = servers.influxd(folder / "influxdb", url)
    with (folder / "influxd.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _until_answering(url, process, folder / "influxd.log")
        yield url
    finally:
        process.kill()
        process.wait()


def _until_answering(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/ping").is_success:
                return
        time.sleep(0.1)
    raise BenchError(f"influxd does not answer: {log.read_text(errors='replace')[-500:]}")
