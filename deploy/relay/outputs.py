"""Where values go from the relay: MQTT as Sparkplug B and JSON, a file of lines, OpenMetrics.

Each output takes a block's rows once. What an output cannot take now (the broker is away, the
primary host is offline) stays in the outbox; so do blocks whose schema is not known yet.
"""

import json
from collections.abc import Callable
from pathlib import Path

from deploy.relay import row_format as rows
from deploy.relay.row_format import Rows
from deploy.relay.sparkplug_edge import SparkplugEdge

Publish = Callable[[str, bytes, int, bool], None]


class Outputs:
    """Hands rows and notes on. `publish` is the broker's; the other three may be None."""

    def __init__(
        self,
        publish: Publish,
        edge: SparkplugEdge | None,
        json_root: str | None,
        lines: Path | None,
    ) -> None:
        self.latest: dict[str, dict[str, float]] = {}
        self.newest: dict[str, int] = {}
        self.blocks = 0
        self._publish = publish
        self._edge = edge
        self._json_root = json_root
        self._lines = lines

    def rows(self, decoded: Rows) -> None:
        """Hand a block on."""
        self.blocks += 1
        if self._edge is not None:
            for message in self._edge.data_messages(decoded):
                self._publish(*message)
        if self._json_root is not None:
            self._publish(
                f"{self._json_root}/{decoded.unit}/rows", rows.rows_to_json(decoded), 1, False
            )
        if self._lines is not None:
            with self._lines.open("a", encoding="utf-8") as file:
                file.write(rows.rows_to_lines(decoded))
        self._update_latest(decoded)

    def _update_latest(self, decoded: Rows) -> None:
        if not decoded.values:
            return
        time_ms, values = max(decoded.values, key=lambda entry: entry[0])
        if time_ms < self.newest.get(decoded.unit, 0):
            return
        self.newest[decoded.unit] = time_ms
        latest_values = self.latest.setdefault(decoded.unit, {})
        for name, value in zip(decoded.names, values, strict=True):
            if value is None:
                latest_values.pop(name, None)
            else:
                latest_values[name] = value

    def note(self, unit: str, number: int, payload: bytes) -> None:
        """Hand an alarm or an event on, as JSON."""
        try:
            content = json.loads(payload)
        except ValueError:
            content = {"bytes": payload.hex()}
        content = {"unit": unit, "record": number, **(content if isinstance(content, dict) else {})}
        if self._json_root is not None:
            data = json.dumps(content, separators=(",", ":")).encode()
            self._publish(f"{self._json_root}/{unit}/notes", data, 1, False)
