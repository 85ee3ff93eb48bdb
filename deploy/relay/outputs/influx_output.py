# SPDX-License-Identifier: Apache-2.0
"""InfluxDB output: line protocol over HTTP to VictoriaMetrics, InfluxDB or Telegraf.

Does not write the lines; see `row_text`. Schema: measurement `coldloop`, tags `site` and `unit`,
one field for each signal. A point is known by tags, field and time, so a repetition changes nothing
(VictoriaMetrics: with `-dedup.minScrapeInterval=1ms`). Alarms, events and rows without UTC are not
part of it, so it is not the only store.

Some servers acknowledge before the data are on their disk; VictoriaMetrics writes them some seconds
later. Therefore a batch is acknowledged only 15 s after its status 2xx (`#settle=S` at the end of
the URL: other seconds), and only if the server was not started again in that time. Its page
`/metrics` tells when it was started. Otherwise the server gets the batch again. Further batches go
out in that time. The page is read as the lines are posted: same authority, same token. One line
reports a server without this page, or without the start of the server in it: there a restart is not
noticed.

VictoriaMetrics ignores rows older than its retention with status 204. The page `/metrics` states
the retention. A block with an older row is refused, so it goes to the quarantine. Rows that the
server ignores all the same, also those of other clients, are counted and reported.
"""

import re
import time
from typing import NamedTuple

from deploy.errors import DeployError
from deploy.relay.decode.row_format import Item, Rows
from deploy.relay.outputs.base import Output, OutputContext, OutputError, Settling
from deploy.relay.outputs.http_client import HttpClient, NoPageError, RefusedError
from deploy.relay.outputs.text import row_text
from deploy.relay.terminal_text import report

_SETTLE_S, _MOST_SETTLE_S = 15.0, 3600.0
_MAX_PAGE_BYTES = 1 << 20
_START_METRICS = ("vm_app_start_timestamp", "process_start_time_seconds")
_INSERTED = 'vm_rows_inserted_total{type="influx"}'
"""Rows since the start of the server; a line has one row at least."""
_IGNORED = "vm_rows_ignored_total{"
_RETENTION = re.compile(r'flag\{name="retentionPeriod", value="([\d.]+)([hdwMy]?)"')
_HOURS = {"h": 1, "d": 24, "w": 168, "y": 8760}
"""SOURCE: VictoriaMetrics, -retentionPeriod: without a unit, months of 31 days."""
_COUNT_DELAY_S = 2.0
"""VictoriaMetrics shows a new count after about 1 s."""


class _ServerState(NamedTuple):
    """Start of the server, its counts of inserted and ignored rows, its retention in ms.

    None: it states none.
    """

    start: str
    inserted: int | None
    ignored: int = 0
    retention_ms: float | None = None


class InfluxOutput(Output):
    """Posts to the URL of the option, for example http://127.0.0.1:8428/write."""

    BATCH = 1000
    LINGER_S = 1.0

    def __init__(self, context: OutputContext) -> None:
        super().__init__(context)
        url, _, settle = context.argument.partition("#settle=")
        if not url.startswith(("http://", "https://")):
            raise DeployError(f"--influx {context.argument}: not a URL")
        try:
            self._settle_s = float(settle or _SETTLE_S)
        except ValueError:
            self._settle_s = -1.0
        if not 0 <= self._settle_s <= _MOST_SETTLE_S:
            raise DeployError(f"--influx {context.argument}: settle is not 0 to 3600 seconds")
        self._expected: _ServerState | None = None
        self._last: _ServerState | None = None
        self._has_no_start = False
        self._root = "/".join(url.split("/")[:3])
        try:
            self._client = HttpClient(url, context)
        except OSError as error:
            raise DeployError(f"--influx {url}: {error}") from None

    def check(self) -> None:
        """Post no line. Raises OutputError, RefusedError.

        SOURCE: InfluxDB 2 answers 400 "writing requires points" then; the others accept it.
        """
        try:
            self._client.post(b"", "text/plain; charset=utf-8")
        except RefusedError as error:
            if "requires points" not in str(error):
                raise

    def refuses_all(self) -> bool:
        """Return whether a request without a line is refused too: a wrong path, for example."""
        try:
            self.check()
        except (OutputError, RefusedError):
            return True
        return False

    def deliver(self, items: list[Item]) -> None:
        """Post the rows; `settling` tells when the server has them on its disk."""
        self._expected = None
        dated = [item for item in items if isinstance(item, Rows) and item.is_dated]
        text = "".join(row_text.rows_to_lines(item) for item in dated)
        if not text:
            return
        state = self._server_state()
        oldest_ms = min(at for item in dated for at, _ in item.values)
        if oldest_ms < self.context.clock_ms() - (state.retention_ms or float("inf")):
            raise RefusedError("rows older than the retention of the server")
        self._client.post(text.encode(), "text/plain; charset=utf-8")
        self._expected = state._replace(inserted=(state.inserted or 0) + text.count("\n"))

    def settling(self) -> Settling | None:
        """Return the time after which the last batch is on the disk of the server."""
        expected = self._expected
        if expected is None or not self._settle_s:
            return None
        return Settling(time.monotonic() + self._settle_s, lambda: self._is_same(expected))

    def _is_same(self, expected: _ServerState) -> bool:
        """Return whether the server has not restarted: its count of rows is not smaller either.

        Its start has a resolution of 1 s, and it can restart within this time.
        """
        state = self._server_state()
        if self._settle_s < _COUNT_DELAY_S or state.inserted is None:
            return state.start == expected.start
        return state.start == expected.start and state.inserted >= (expected.inserted or 0)

    def _server_state(self) -> _ServerState:
        """Return the state of the server as its page `/metrics` states it; empty: it has none.

        Raises OutputError if the server does not respond.
        """
        why = f"{self._root}/metrics: no time of the start"
        try:
            text = self._client.get("/metrics", _MAX_PAGE_BYTES)
        except NoPageError as error:
            text, why = "", str(error)
        lines = text.splitlines()
        start = " ".join(sorted(line for line in lines if line.startswith(_START_METRICS)))
        self._report_no_start("" if start else why)
        counts = _numbers(lines, _INSERTED)
        inserted = counts[0] if counts else None
        state = _ServerState(start, inserted, sum(_numbers(lines, _IGNORED)), _retention_ms(text))
        self._count_ignored(state)
        return state

    def _report_no_start(self, why: str) -> None:
        """Report once that a restart of the server cannot be seen, and the reason."""
        if why and not self._has_no_start:
            report(f"output influx: a restart of {self._root} is not noticed; {why}")
        self._has_no_start = bool(why)

    def _count_ignored(self, state: _ServerState) -> None:
        """Count the rows that the server has ignored since the last state of this start."""
        last, self._last = self._last, state
        if last is None or last.start != state.start or last.ignored >= state.ignored:
            return
        if not self.ignored:
            report(f"output influx: {self._root} ignores rows; see vm_rows_ignored_total there")
        self.ignored += state.ignored - last.ignored


def _numbers(lines: list[str], metric: str) -> list[int]:
    """Return the whole numbers of a metric."""
    texts = [line.rpartition(" ")[2] for line in lines if line.startswith(metric)]
    return [int(text) for text in texts if text.isdigit()]


def _retention_ms(text: str) -> float | None:
    found = _RETENTION.search(text)
    return float(found[1]) * _HOURS.get(found[2], 744) * 3_600_000 if found else None
