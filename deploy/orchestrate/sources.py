# SPDX-License-Identifier: Apache-2.0
"""The sources of a row's reading: the unit's Prometheus page, its files, the relay's store.

Does not judge the age of a reading; see `deploy.orchestrate.rules`. A source never raises: a unit
that cannot be read has no reading. A page is read in a thread of its own, so that a unit that does
not answer delays no other row.

The direct sources are seconds old. The store is as old as the link to the ground permits; its
headroom is therefore reduced by what the capacity has fallen within such a time before
(`deploy.orchestrate.forecast`).
"""

import contextlib
import http.client
import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from deploy.orchestrate import metrics_text
from deploy.orchestrate.reading import AgeTracker, RowReading, limits_state, make_reading
from deploy.orchestrate.settings import RowSettings

_MAX_BYTES = 1_000_000
_TIMEOUT_S = 3.0


class Source(Protocol):
    """A source of one row."""

    def read(self) -> RowReading | None:
        """Return the newest reading; None: there is none."""

    def close(self) -> None:
        """End the source."""


class StatusFile:
    """The status that the agent writes once a second (`status.json`)."""

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = Path(path)
        self._age = AgeTracker(clock)

    def read(self) -> RowReading | None:
        """Return the reading; None: no file, or not a status."""
        try:
            shown_age_s = time.time() - self._path.stat().st_mtime
            with self._path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
            status = json.loads(data) if len(data) <= _MAX_BYTES else {}
            mark = status["mono_us"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        if type(mark) is not int:  # NaN is never equal to itself, so it would always look new
            return None
        limits = status.get("throttle")
        limits = limits if isinstance(limits, dict) else {}
        return make_reading(
            limits.get("headroom_w"),
            limits.get("heat_w"),
            limits.get("state"),
            status.get("state"),
            self._age.age_s(mark, shown_age_s),
            "status",
        )

    def close(self) -> None:
        """Do nothing."""


class MetricsPage:
    """The unit's page /metrics, read once in `period_s` by a thread."""

    def __init__(
        self, settings: RowSettings, period_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._period_s = max(1.0, period_s)
        self._clock = clock
        self._latest: tuple[float, RowReading] | None = None
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def read(self) -> RowReading | None:
        """Return the newest reading, older by the time since its arrival."""
        latest = self._latest
        if latest is None:
            return None
        at, found = latest
        age_s = found.age_s + self._clock() - at
        return RowReading(
            found.headroom_w, found.heat_w, found.state, found.unit_state, age_s, found.source
        )

    def close(self) -> None:
        """End the thread after its present request."""
        self._is_closed.set()

    def _poll(self) -> None:
        while not self._is_closed.wait(self._period_s if self._latest else 0.05):
            asked_at = self._clock()
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                found = parse_metrics(fetch(self._settings))
                self._latest = (asked_at, found) if found is not None else self._latest
            if self._latest is None:
                self._is_closed.wait(self._period_s)


def fetch(settings: RowSettings) -> str:
    """Return the text of the page. Raises OSError, ValueError."""
    request = urllib.request.Request(settings.metrics)
    if request.type not in ("http", "https"):
        raise ValueError(f"{settings.metrics}: not http or https")
    if settings.token_file:
        token = Path(settings.token_file).read_text(encoding="ascii").strip()
        request.add_header("Authorization", f"Bearer {token}")
    context = None
    if request.type == "https":
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=context) as reply:
        data: bytes = reply.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError("the page is too long")
    return data.decode("utf-8")


def parse_metrics(text: str) -> RowReading | None:
    """Return the reading of a page of a unit; None: the page does not show the age of the unit."""
    samples = metrics_text.read_samples(text)
    age_s = metrics_text.select(samples, "coldloop_status_age_seconds")
    if age_s is None:
        return None
    headroom_w, heat_w = (_good(samples, point) for point in ("headroom", "heat"))
    codes = {
        labels.get("code", "")
        for name, labels, value in samples
        if name == "coldloop_alarm" and value == 1.0
    }
    return make_reading(
        headroom_w,
        heat_w,
        limits_state(codes, headroom_w),
        metrics_text.select_state(samples, "coldloop_unit_state", "state"),
        max(0.0, age_s),
        "metrics",
    )


def _good(samples: list[metrics_text.Sample], point: str) -> float | None:
    """Return a value in W; None: not known, or its quality is not good (0)."""
    for name, labels, value in samples:
        if name == "coldloop_point_quality" and labels.get("point") == point and value != 0.0:
            return None
    return metrics_text.select(samples, f"coldloop_{point}_watts")


def choose(readings: list[RowReading | None], limit_s: dict[str, float]) -> RowReading | None:
    """Return the first reading that is complete and not too old; else the newest one.

    `limit_s`: the longest age by the name of a source.
    """
    present = [reading for reading in readings if reading is not None]
    for reading in present:
        if reading.age_s <= limit_s[reading.source] and reading.capacity_w is not None:
            return reading
    return min(present, key=lambda reading: reading.age_s, default=None)
