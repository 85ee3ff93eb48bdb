# SPDX-License-Identifier: Apache-2.0
"""The published record: headroom of each row now and for the next hours, and what is in force.

Does not decide. The record is a file, written atomically, and two pages of HTTP: /headroom (JSON)
and /metrics (OpenMetrics 1.0). Both are read-only and have no secret; listen on a local address.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from deploy.errors import DeployError
from deploy.orchestrate.forecast import CapacityForecast
from deploy.orchestrate.rules import LEVELS, RowDecision
from deploy.relay.intake.late_server import LateServer

Record = dict[str, Any]
_METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_TIMEOUT_S = 10


def build_record(
    decisions: list[RowDecision],
    forecasts: dict[str, list[CapacityForecast]],
    scheduler: Record,
    now: datetime,
) -> Record:
    """Return the record. Powers in W; null: not known."""
    return {
        "schema": "coldloop-headroom/2",
        "time": now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "rows": [_row(decision, forecasts.get(decision.row.name, [])) for decision in decisions],
        "scheduler": scheduler,
    }


def _row(decision: RowDecision, hours: list[CapacityForecast]) -> Record:
    reading = decision.reading
    return {
        "row": decision.row.name,
        "rated_w": round(decision.row.rated_kw * 1000),
        "level": LEVELS[decision.level],
        "reason": decision.reason,
        "headroom_w": round(decision.headroom_w),
        "capacity_w": round(decision.capacity_w),
        "reading": None
        if reading is None
        else {
            "headroom_w": _rounded(reading.headroom_w),
            "heat_w": _rounded(reading.heat_w),
            "limit_state": reading.state or None,
            "unit_state": reading.unit_state or None,
            "age_s": round(reading.age_s, 1),
            "source": reading.source,
        },
        "hours": [_hour(forecast, decision) for forecast in hours],
    }


def _hour(forecast: CapacityForecast, decision: RowDecision) -> Record:
    """Return the forecast of an hour; the headroom is that at the present heat."""
    reading = decision.reading
    heat_w = reading.heat_w if reading is not None else None
    entry: Record = {"confidence": forecast.confidence, **asdict(forecast)}
    for name in ("expected", "low", "high"):
        capacity_w = entry[f"{name}_w"] = _rounded(entry[f"{name}_w"])
        if capacity_w is None or heat_w is None:
            entry[f"headroom_{name}_w"] = None
        else:
            entry[f"headroom_{name}_w"] = round(capacity_w - heat_w)
    return entry


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def write_file(path: str, record: Record) -> None:
    """Replace the file. Raises DeployError."""
    target = Path(path)
    temporary = target.with_name(target.name + ".new")
    try:
        temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
        os.replace(temporary, target)
    except OSError as error:
        raise DeployError(f"{path}: {error.strerror}") from None


def format_metrics(record: Record) -> str:
    """Return the record as OpenMetrics. A value that is not known has no sample."""
    lines: list[str] = []

    def family(name: str, text: str, samples: list[tuple[str, Any]]) -> None:
        lines.append(f"# TYPE coldloop_orchestrate_{name} gauge")
        lines.append(f"# HELP coldloop_orchestrate_{name} {text}")
        lines.extend(
            f"coldloop_orchestrate_{name}{{{labels}}} {float(value)!r}"
            for labels, value in samples
            if value is not None
        )

    rows = [(f'row="{_escape(row["row"])}"', row) for row in record["rows"]]
    family("headroom_watts", "Headroom in use.", [(r, row["headroom_w"]) for r, row in rows])
    family("capacity_watts", "Capacity in use.", [(r, row["capacity_w"]) for r, row in rows])
    family("level", "Level, 0 to 3.", [(r, LEVELS.index(row["level"])) for r, row in rows])
    ages = [(r, row["reading"] and row["reading"]["age_s"]) for r, row in rows]
    family("reading_age_seconds", "Age of the reading of the unit.", ages)
    hours = [
        (f'{r},lead_hours="{hour["lead_h"]}",bound="{name}"', hour[f"{name}_w"])
        for r, row in rows
        for hour in row["hours"]
        for name in ("low", "expected", "high")
    ]
    family("forecast_capacity_watts", "Capacity in the next hours.", hours)
    held = [(f'licence="{_escape(n)}"', c) for n, c in record["scheduler"].get("held", {}).items()]
    family("licences_held", "Licences that the reservation holds.", held)
    return "\n".join([*lines, "# EOF", ""])


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class PublishServer:
    """Serves the newest record at `address` (HOST:PORT). Raises DeployError.

    If the address is not free, it tries again and `report` gets a line. `port`: None until then.
    """

    def __init__(
        self, address: str, record: Callable[[], Record | None], report: Callable[[str], None]
    ) -> None:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise DeployError(f"listen: {address!r} is not HOST:PORT")
        place, handler = (host, int(port)), _make_handler(record)
        self._server = LateServer(
            f"listen: {address}", lambda: ThreadingHTTPServer(place, handler), report
        )

    @property
    def port(self) -> int | None:
        """Return the port; None: the address is not free."""
        return self._server.address[1] if self._server.address else None

    def close(self) -> None:
        """End the server."""
        self._server.close()


def _make_handler(record: Callable[[], Record | None]) -> type[BaseHTTPRequestHandler]:
    class RecordHandler(BaseHTTPRequestHandler):
        """Answers GET; the record changes by replacement, so no lock is necessary."""

        timeout = _TIMEOUT_S

        def do_GET(self) -> None:
            newest = record()
            pages = {"/headroom": "application/json", "/metrics": _METRICS_TYPE}
            kind = pages.get(self.path.partition("?")[0])
            if kind is None or newest is None:
                self.send_error(404 if kind is None else 503)
                return
            text = json.dumps(newest) if self.path.startswith("/h") else format_metrics(newest)
            data = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Write no log: each poll would be a line."""

    return RecordHandler
