"""One InfluxDB server over HTTP: what it is, InfluxQL out, line protocol in.

Refuses to know readings and series. Generations, as met here: 1.6 and 1.7 have ``/write`` only;
1.8 and 2.x also ``/api/v2/write``, which is used through influxdb-client; all of them answer
InfluxQL at ``/query`` (2.x through the mapping of a bucket's name to a database of that name).
Verified by the contract suite against real servers: 1.6.7, 1.8.10, 2.7.12. Not verified: 3.x.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import httpx
import msgspec
import numpy as np
import urllib3.exceptions
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS, WriteApi
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException
from numpy.typing import NDArray

from devices.readings import Float64s
from ingest.stores.series_store import StoreOutage, StoreSlow

_BUSY: Final = (408, 425, 429)  # the server says: later
_TOO_LARGE: Final = 413
_LARGEST_INTEGER: Final = 2**53
_NOT_LET_IN: Final = (401, 403)
_ABOUT_LINES: Final = re.compile(r"partial write|unable to parse|field type conflict")
"""What InfluxDB says of lines; any other 400 or 422 is about us, or comes from somebody else."""
_DROPPED: Final = re.compile(r"dropped[= ](\d+)")  # 2.x: "dropped 2 points outside retention …"


@dataclass(frozen=True, slots=True)
class InfluxAddress:
    """Where an InfluxDB is and how we log in.

    ``secret`` is the password of ``username``, or the API token where there is no username; both
    may be empty. One that is called is asked again after each outage, so that another password or
    token takes effect without a restart. ``org`` matters to 2.x alone. Readings of personal
    quantities have a database (1.x) or bucket (2.x) of their own, so that a viewer of the public
    one cannot reach them.
    """

    url: str
    database: str = "satomori"
    personal_database: str = "satomori_personal"
    org: str = ""
    username: str = ""
    secret: str | Callable[[], str] = ""
    timeout_s: float = 20.0


class LinesRefused(Exception):
    """The server took some or none of the lines; ``dropped`` says how many, where it told.

    ``is_too_large``: it did not look at them; fewer at a time may pass.
    """

    def __init__(self, message: str, *, is_too_large: bool = False) -> None:
        super().__init__(message)
        self.message, self.is_too_large = message, is_too_large
        found = _DROPPED.search(message)
        self.dropped = int(found[1]) if found else None


class Table(msgspec.Struct):
    """One series of an InfluxQL answer; all of its columns are numbers."""

    columns: list[str]
    values: list[list[float | None]]
    name: str = ""
    tags: dict[str, str] = {}

    def column(self, name: str) -> Float64s:
        """One column, NaN where it is null. Raises StoreOutage where there is none."""
        try:
            at = self.columns.index(name)
            return np.array([row[at] for row in self.values], np.float64)
        except (ValueError, IndexError):
            raise StoreOutage(f"an answer of InfluxDB lacks {name}", can_retry=True) from None

    def integers(self, name: str) -> NDArray[np.int64]:
        """One column of integers below 2**53, 0 where it is null; StoreOutage for larger ones."""
        numbers = np.nan_to_num(self.column(name))
        if (np.abs(numbers) > _LARGEST_INTEGER).any():
            raise StoreOutage(f"an answer of InfluxDB has an impossible {name}", can_retry=True)
        return numbers.astype(np.int64)


class _Result(msgspec.Struct):
    series: list[Table] = []
    error: str | None = None


class _Answer(msgspec.Struct):
    results: list[_Result] = []
    error: str | None = None


class InfluxServer:
    """Connects at the first call and again after an outage; any thread may call it."""

    def __init__(self, address: InfluxAddress) -> None:
        self.address = address
        self.version = ""
        self._has_v2_write = False
        self._secret: str | None = None
        self._made: list[httpx.Client | InfluxDBClient] = []
        self._http: httpx.Client
        self._client: InfluxDBClient
        self._write_api: WriteApi

    def prepare(self, databases: Sequence[str]) -> None:
        """Find out what the server is and make the databases (buckets) that it lacks."""
        if self.version:
            return
        self._log_in()
        version = self._request("GET", "/ping").headers.get("X-Influxdb-Version", "unknown")
        self._has_v2_write = self._has_page("POST", "/api/v2/write")
        for database in databases:
            if self._has_buckets(version):
                self._make_bucket(database)
            else:
                self.execute("", f'CREATE DATABASE "{database}"')
        self.version = version

    def write(self, database: str, lines: Sequence[str]) -> None:
        """Write lines with millisecond times. Raises LinesRefused and StoreOutage."""
        body = "\n".join(lines).encode()
        if not self._has_v2_write:
            params = {"db": database, "precision": "ms"}
            self._request("POST", "/write", params=params, content=body)
            return
        try:
            self._write_api.write(
                bucket=database,
                record=body,
                write_precision=WritePrecision.MS,  # type: ignore[arg-type]  # it is a str there
            )
        except ApiException as refusal:
            raise _api_failure(refusal) from refusal
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._out_of_reach(error) from error

    def select(self, database: str, statement: str) -> list[Table]:
        """Answer of one SELECT, times in ms; an empty list where nothing matches."""
        params = {"db": database, "q": statement, "epoch": "ms"}
        return self._answer(self._request("GET", "/query", params=params))

    def execute(self, database: str, statement: str) -> None:
        """Run a statement that changes something (CREATE, DELETE)."""
        params = {"q": statement} | ({"db": database} if database else {})
        self._answer(self._request("POST", "/query", params=params))

    def forget_server(self) -> None:
        """Ask anew at the next call: after an outage another server may stand there."""
        self.version = ""

    def close(self) -> None:
        """Close all connections."""
        for client in self._made:
            client.close()
        self._made, self._secret, self.version = [], None, ""

    def _log_in(self) -> None:
        """Make clients with the secret as it is now, where it is another one than before."""
        address = self.address
        try:
            secret = address.secret() if callable(address.secret) else address.secret
        except OSError as error:
            raise StoreOutage(f"InfluxDB's secret: {error}", can_retry=False) from error
        if secret == self._secret:
            return  # else the clients before stay open for whoever is using them
        url, headers, auth = address.url.rstrip("/"), {}, None
        if address.username:
            auth = (address.username, secret)
        elif secret:
            headers["Authorization"] = f"Token {secret}"
        self._http = httpx.Client(
            base_url=url,
            headers=headers,
            auth=auth,
            timeout=httpx.Timeout(address.timeout_s, connect=min(3.0, address.timeout_s)),
            trust_env=False,
        )
        token = f"{address.username}:{secret}" if address.username else secret
        self._client = InfluxDBClient(
            url=url,
            token=token or "-",
            org=address.org or "-",
            timeout=int(address.timeout_s * 1000),
            enable_gzip=False,
        )
        self._write_api = self._client.write_api(write_options=SYNCHRONOUS)
        self._made += [self._http, self._client]
        self._secret = secret

    def _has_buckets(self, version: str) -> bool:
        """2.x has; a server built without a version (as by ``go install``) is asked."""
        number = re.match(r"v?(\d+)\.", version)
        return int(number[1]) >= 2 if number else self._has_page("GET", "/api/v2/buckets")

    def _has_page(self, method: str, path: str) -> bool:
        """Whether the server knows the page, however it answers to an empty request."""
        params = {"bucket": self.address.database, "org": self.address.org}
        try:
            reply = self._http.request(method, path, params=params)
        except httpx.HTTPError as error:
            raise self._out_of_reach(error) from error
        return not (reply.status_code == 404 and "page not found" in reply.text)

    def _make_bucket(self, name: str) -> None:
        buckets = self._client.buckets_api()
        try:
            found = buckets.find_bucket_by_name(name)  # type: ignore[no-untyped-call]  # half typed
            if found is None:
                buckets.create_bucket(bucket_name=name, org=self.address.org)
        except ApiException as refusal:
            raise _api_failure(refusal, f"bucket {name}: ") from refusal
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._out_of_reach(error) from error

    def _request(
        self, method: str, path: str, *, params: dict[str, str] | None = None, content: bytes = b""
    ) -> httpx.Response:
        try:
            reply = self._http.request(method, path, params=params, content=content)
        except httpx.HTTPError as error:
            raise self._out_of_reach(error) from error
        if reply.status_code in _NOT_LET_IN:
            self.forget_server()
        if reply.status_code >= 300:
            raise _failure(reply.status_code, reply.text, reply.headers.get("Retry-After"))
        return reply

    def _answer(self, reply: httpx.Response) -> list[Table]:
        try:
            answer = msgspec.json.decode(reply.content, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as strange:
            reason = f"{self.address.url} does not answer as InfluxDB does: {strange}"
            raise StoreOutage(reason, can_retry=True) from strange
        result = answer.results[0] if answer.results else _Result()
        if error := answer.error or result.error:
            raise StoreOutage(f"InfluxDB: {error}", can_retry="timeout" in error)
        return result.series

    def _out_of_reach(self, error: Exception) -> StoreOutage:
        reason = f"InfluxDB at {self.address.url}: {type(error).__name__}: {error}"
        if isinstance(error, httpx.ReadTimeout | urllib3.exceptions.ReadTimeoutError):
            return StoreSlow(reason, can_retry=True)
        return StoreOutage(reason, can_retry=True)


def _api_failure(refusal: ApiException, before: str = "") -> LinesRefused | StoreOutage:
    wait = refusal.headers.get("Retry-After") if refusal.headers else None
    body = refusal.body
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    return _failure(refusal.status or 0, before + text, wait)


def _failure(status: int, text: str, retry_after: str | None) -> LinesRefused | StoreOutage:
    """What an answer means: the lines, or the server, or what stands in our settings."""
    text = text.strip()
    if status == _TOO_LARGE:
        return LinesRefused(text, is_too_large=True)
    if status in (400, 422) and _ABOUT_LINES.search(text):
        return LinesRefused(text)
    can_retry = status >= 500 or status in _BUSY or status == 0
    reason = f"InfluxDB answers {status}: {text[:300]}"
    wait_s = float(retry_after) if retry_after and retry_after.isdecimal() else None
    return StoreOutage(reason, can_retry=can_retry, wait_s=wait_s)
