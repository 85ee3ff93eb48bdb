# SPDX-License-Identifier: Apache-2.0
"""Text outputs: JSON over MQTT, a file in InfluxDB's line protocol, OpenMetrics over HTTP.

Does not write the texts; see `row_format`.
"""

import json

from deploy.relay import row_format
from deploy.relay.alarm_output import catalogue_fields
from deploy.relay.output import Output, OutputContext, Page
from deploy.relay.row_format import Rows

_METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class JsonOutput(Output):
    """Publishes `TOPIC/SITE/UNIT/rows` and `TOPIC/SITE/UNIT/notes`, QoS 1."""

    def rows(self, block: Rows) -> None:
        """Publish a block as one JSON object."""
        self._publish(block.unit, "rows", row_format.rows_to_json(block))

    def note(self, unit: str, number: int, payload: bytes) -> None:
        """Publish an alarm or an event; a payload that is not JSON goes as hexadecimal digits."""
        try:
            content = json.loads(payload)
        except ValueError:
            content = {"bytes": payload.hex()}
        content = content if isinstance(content, dict) else {}
        content = {"unit": unit, "record": number, **content, **catalogue_fields(content)}
        self._publish(unit, "notes", json.dumps(content, separators=(",", ":")).encode())

    def _publish(self, unit: str, kind: str, payload: bytes) -> None:
        topic = f"{self.context.argument}/{unit}/{kind}"
        self.context.publisher.publish(topic, payload, 1, False)


class LinesOutput(Output):
    """Appends InfluxDB lines to a file."""

    def rows(self, block: Rows) -> None:
        """Append a line for each row."""
        with open(self.context.argument, "a", encoding="utf-8") as file:
            file.write(row_format.rows_to_lines(block))


class MetricsOutput(Output):
    """Serves `/metrics`: the newest value of each signal, and the counters of the relay."""

    def __init__(self, context: OutputContext) -> None:
        super().__init__(context)
        self._blocks = 0
        self._latest: dict[str, dict[str, float]] = {}
        self._newest_ms: dict[str, int] = {}

    def rows(self, block: Rows) -> None:
        """Keep the values of the newest row of the unit."""
        self._blocks += 1
        if not block.values:
            return
        time_ms, values = max(block.values, key=lambda entry: entry[0])
        if time_ms < self._newest_ms.get(block.unit, 0):
            return
        self._newest_ms[block.unit] = time_ms
        latest = self._latest.setdefault(block.unit, {})
        for name, value in zip(block.names, values, strict=True):
            if value is None:
                latest.pop(name, None)
            else:
                latest[name] = value

    def pages(self) -> dict[str, Page]:
        """Return the page `/metrics`."""
        return {"/metrics": self._page}

    def _page(self) -> tuple[str, str]:
        """Write the page. Runs in a thread of the HTTP server, so it reads copies."""
        latest = {unit: dict(values) for unit, values in list(self._latest.items())}
        counts = {**self.context.counts(), "blocks": self._blocks}
        return _METRICS_TYPE, row_format.format_metrics(latest, counts)
