# SPDX-License-Identifier: Apache-2.0
"""Prometheus and OpenMetrics: GET /metrics of the HTTPS server, with a token of its own.

Does not keep a history. A value that is not known has no sample; its quality is in
`coldloop_point_quality`. The content is made at most once a second; all scrapers get the same.
Names have base units; a counter ends with _total.
"""

import contextlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microdot import Microdot, Request, Response

from deploy.northbound.access.types import READ_ONLY, Session
from deploy.northbound.http.limits import mark_known
from deploy.northbound.http.login import Authenticator
from deploy.northbound.http.reply import make_response, plain_reply
from deploy.northbound.http.site import WebSite
from deploy.northbound.points.point_table import PointRow, columns, point_table
from deploy.northbound.process.notifications import NotificationCounts, read_counts
from deploy.northbound.process.supervisor import report
from deploy.northbound.snapshot import QUALITIES, UNIT_STATES, Snapshot, SnapshotReader
from deploy.ops.private_file import replace_private

_OPEN_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BEARER_FILE = "metrics_token"
_TOKEN = re.compile("[!-~]{16,256}")
"""A part of a token, as a power cut can leave it, could be guessed."""
_PERIOD_S = 1.0
_REFUSED = {401: "a token is needed", 403: "the password must be changed first"}


@dataclass(frozen=True, slots=True)
class MetricSample:
    """One sample: labels as text such as {pump="1"}, and the value."""

    labels: str
    value: float


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """A metric family. `name`: without the prefix and without _total."""

    name: str
    kind: str
    help: str
    samples: tuple[MetricSample, ...]


def families(snapshot: Snapshot) -> Iterator[MetricFamily]:
    """Return all families of a snapshot."""
    up = 0 if snapshot.stale else 1
    yield MetricFamily(
        "up", "gauge", "1: the record of the agent is not older than 3 s", (_one(up),)
    )
    if snapshot.age_ms is not None:
        yield MetricFamily("status_age_seconds", "gauge", "Age of the record of the agent",
                     (_one(snapshot.age_ms / 1000),))  # fmt: skip
    build = _labels(version=snapshot.software, site=snapshot.identity.site,
                    unit=snapshot.identity.unit)  # fmt: skip
    yield MetricFamily("build_info", "gauge", "Software of the unit", (MetricSample(build, 1),))
    states = tuple(
        MetricSample(_labels(state=state), int(state == snapshot.unit_state))
        for state in UNIT_STATES
    )
    yield MetricFamily("unit_state", "gauge", "State of the unit: 1 for the state in force", states)
    yield from _points(snapshot)
    alarms = tuple(
        MetricSample(_labels(code=alarm.code, name=alarm.name, priority=str(alarm.priority),
                       state=alarm.state), int(alarm.active))
        for alarm in snapshot.alarms
    )  # fmt: skip
    if alarms:
        yield MetricFamily("alarm", "gauge", "1: the condition of the alarm is present", alarms)


def notification_families(counts: Iterable[NotificationCounts]) -> Iterator[MetricFamily]:
    """Give the counts of the notifications to receivers, if there are receivers."""
    entries = list(counts)
    results = ("confirmed", "failed", "replaced", "dropped")
    totals = tuple(
        MetricSample(_labels(protocol=e.protocol, receiver=e.receiver, result=result),
                     getattr(e, result))
        for e in entries for result in results
    )  # fmt: skip
    waiting = tuple(
        MetricSample(_labels(protocol=e.protocol, receiver=e.receiver), e.waiting) for e in entries
    )
    if entries:
        text = "Notifications of alarms; failed: attempts that were not confirmed"
        yield MetricFamily("notifications", "counter", text, totals)
        text = "Notifications of alarms that the receiver has not confirmed yet"
        yield MetricFamily("notifications_waiting", "gauge", text, waiting)


def _points(snapshot: Snapshot) -> Iterator[MetricFamily]:
    table, found = point_table(), columns("prometheus")
    grouped: dict[str, list[MetricSample]] = {}
    about: dict[str, tuple[PointRow, Mapping[str, Any]]] = {}
    for key, column in found.items():
        row = table[key]
        about.setdefault(column["name"], (row, column))
        samples = grouped.setdefault(column["name"], [])
        value = snapshot.value(key)
        if value is None:
            continue
        text = column.get("labels", "")
        if row.kind == "enum":
            samples += _words(row, text, snapshot.points[key].raw)
            continue
        samples.append(MetricSample(f"{{{text}}}" if text else "", value * column.get("factor", 1)))
    for name, samples in grouped.items():
        row, column = about[name]
        kind = "counter" if row.kind == "counter" else "gauge"
        if samples:
            yield MetricFamily(name, kind, column.get("help", row.title), tuple(samples))
    quality = tuple(
        MetricSample(_labels(point=key), QUALITIES.index(snapshot.points[key].quality))
        for key in found
    )
    text = "Quality of a point: 0 good, 1 uncertain, 2 bad, 3 absent"
    yield MetricFamily("point_quality", "gauge", text, quality)


def _words(row: PointRow, labels: str, raw: int | None) -> Iterator[MetricSample]:
    """Return a sample for each word of an enumeration: 1 for the one in force."""
    for number, word in enumerate(row.words):
        yield MetricSample("{" + labels.replace("{word}", word) + "}", int(number == raw))


def _one(value: float) -> MetricSample:
    return MetricSample("", value)


def _labels(**pairs: str) -> str:
    parts = [f'{name}="{_escape(value)}"' for name, value in pairs.items()]
    return "{" + ",".join(parts) + "}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def metrics_text(
    snapshot: Snapshot, *, open_metrics: bool, counts: Iterable[NotificationCounts] = ()
) -> str:
    """Return the exposition in OpenMetrics 1.0 or in the text format 0.0.4."""
    lines = []
    for family in (*families(snapshot), *notification_families(counts)):
        full = f"coldloop_{family.name}"
        sample = f"{full}_total" if family.kind == "counter" else full
        head = full if open_metrics else sample
        lines += [f"# HELP {head} {_help(family.help)}", f"# TYPE {head} {family.kind}"]
        lines += [f"{sample}{entry.labels} {_number(entry.value)}" for entry in family.samples]
    if open_metrics:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    return f"{value:.12g}"


class _Scrape:
    """The expositions of one second."""

    def __init__(
        self, source: SnapshotReader, now: Callable[[], float], state: Path | None = None
    ) -> None:
        self._source, self._state = source, state
        self._now = now
        self._until = -1.0
        self._texts: dict[bool, str] = {}
        self._snapshot = Snapshot()

    def text(self, *, open_metrics: bool) -> str:
        """Return an exposition that is not older than a second."""
        now = self._now()
        if now >= self._until:
            self._until = now + _PERIOD_S
            self._texts.clear()
            self._snapshot = self._source.read()
        if open_metrics not in self._texts:
            counts = () if self._state is None else read_counts(self._state)
            self._texts[open_metrics] = metrics_text(
                self._snapshot, open_metrics=open_metrics, counts=counts
            )
        return self._texts[open_metrics]


def add_routes(site: WebSite) -> None:
    """Add GET /metrics to the web server; the token is in the file metrics_token of the state."""
    state = site.context.settings.state
    token = load_token(state / _BEARER_FILE)
    add_metrics(site.server.app, site.context.source, token, site.login, state=state)


def load_token(path: Path) -> str:
    """Return the token of the file; a missing or damaged one is made again.

    "": it cannot be stored; then no token is valid, and accounts still can read.
    """
    text = ""
    with contextlib.suppress(OSError, ValueError):
        text = path.read_text(encoding="ascii").strip()
    if _TOKEN.fullmatch(text):
        return text
    is_new, token = not path.exists(), secrets.token_urlsafe(24)
    try:
        replace_private(path, f"{token}\n")
    except OSError as error:
        report(f"{path}: {error.strerror}; no token is valid")
        return ""
    if not is_new:
        report(f"{path}: was damaged, has a new token")
    return token


def add_metrics(
    app: Microdot,
    source: SnapshotReader,
    token: str,
    login: Authenticator | None = None,
    now: Callable[[], float] = time.monotonic,
    state: Path | None = None,
) -> None:
    """Add GET /metrics. `token`: bearer token of the scraper; an account is also accepted.

    `state`: folder with the counts of the notifications.
    """
    scrape = _Scrape(source, now, state)

    async def send(request: Request) -> Response:
        status = await _refused(request, token, login)
        if status:
            return plain_reply(status, _REFUSED[status], {"WWW-Authenticate": "Bearer"})
        wanted = "application/openmetrics-text" in request.headers.get("accept", "")
        kind = _OPEN_TYPE if wanted else _TEXT_TYPE
        return make_response(scrape.text(open_metrics=wanted), 200, {"Content-Type": kind})

    routes: Any = app
    routes.get("/metrics")(send)


async def _refused(request: Request, token: str, login: Authenticator | None) -> int:
    """Return the status that refuses a request; 0: it has the token, or an account that may read.

    An account with an initial password may only change it.
    """
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        has_token = bool(token) and hmac.compare_digest(value.strip().encode(), token.encode())
        if has_token:
            mark_known(request)
        return 0 if has_token else 401
    found = None if login is None else await login.identify(request, request.client_addr[0])
    if not isinstance(found, Session):
        return 401
    return 0 if found.may(READ_ONLY) else 403
