"""A private InfluxDB 1.x for demos and trials: on loopback, in a folder of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from satomori.ports import free_port
from satomori.supervise import Child

_CONFIG = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc_port}"
[meta]
  dir = "{directory}/meta"
[data]
  dir = "{directory}/data"
  wal-dir = "{directory}/wal"
  series-id-set-cache-size = 100
[http]
  bind-address = "127.0.0.1:{http_port}"
  log-enabled = false
[monitor]
  store-enabled = false
"""


def find_influxd() -> Path | None:
    """The influxd binary: ``SATOMORI_INFLUXD``, the path, or none."""
    given = os.environ.get("SATOMORI_INFLUXD") or shutil.which("influxd")
    return Path(given) if given else None


def influx_child(binary: Path, directory: Path, url: str) -> Child:
    """A supervised influxd that keeps its data in ``directory`` and answers at ``url``."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = directory / "influxdb.conf"
    http_port = urlsplit(url).port
    config.write_text(
        _CONFIG.format(directory=directory, http_port=http_port, rpc_port=free_port(0)),
        encoding="utf-8",
    )
    record = (directory / "influxd.log").open("a", encoding="utf-8")

    def on_line(line: str) -> None:
        record.write(line + "\n")
        record.flush()

    return Child("influxdb", (str(binary), "run", "-config", str(config)), on_line=on_line)
