"""Where readings are kept for good: one Protocol, DuckDB and InfluxDB behind it.

Refuses to know the journal (``ingest.store_writer`` joins the two), rules and pages.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from ingest.stores.series_store import SeriesStore


def open_store(
    kind: Literal["duckdb", "influxdb"],
    *,
    directory: Path,
    least_free_bytes: int = 0,
    url: str = "http://127.0.0.1:8086",
    database: str = "satomori",
    personal_database: str = "satomori_personal",
    org: str = "",
    username: str = "",
    secret: str | Callable[[], str] = "",
) -> SeriesStore:
    """Open the store of this installation; what names a server matters to InfluxDB alone.

    Neither need be there yet: a DuckDB file that cannot be opened (another process holds it, it is
    rotten) is an outage like a server that is away, and is tried again; so is a disk with less
    than ``least_free_bytes`` left.
    """
    if kind == "duckdb":
        from ingest.stores.duckdb import DuckDBStore
        from ingest.stores.late import LateStore

        path = directory / "readings.duckdb"
        return LateStore(lambda: DuckDBStore(path, least_free_bytes=least_free_bytes))
    from ingest.stores.influx import InfluxStore
    from ingest.stores.influx_http import InfluxAddress

    address = InfluxAddress(url, database, personal_database, org, username, secret)
    return InfluxStore(address, directory)
