"""Where values go from the relay: MQTT as Sparkplug B and JSON, a file of lines, OpenMetrics.

Each output takes a block's rows once. What an output cannot take now (the broker is away, the
primary host is offline) stays in the outbox; so do blocks whose schema is not known yet.
"""

import json
from collections.abc import Callable
from pathlib import Path

from deploy.relay import row_format as rows
from deploy.relay.row_format import Rows
from deploy.relay.sparkplug_edge import Edge

Publish = Callable[[str, bytes, int, bool], None]


class Outputs:
    """Hands rows and notes on. `publish` is the broker's; the other three may be None."""

    def __init__(
        self, publish: Publish, edge: Edge | None, json_root: str | None, lines: Path | None
    ) -> None:
        self.latest: dict[str, dict[str, float]] = {}
        self.newest: dict[str, int] = {}
        self.blocks = 0
        self._publish = publish
        self._edge = edge
        self._json_root = json_root
        self._lines = lines

    def rows(self, found: Rows) -> None:
        """Hand a block on."""
        self.blocks += 1
        if self._edge is not None:
            for message in self._edge.data(found):
                self._publish(*message)
        if self._json_root is not None:
            self._publish(f"{self._json_root}/{found.unit}/rows", rows.as_json(found), 1, False)
        if self._lines is not None:
            with self._lines.open("a", encoding="utf-8") as file:
                file.write(rows.as_lines(found))
        self._remember(found)

    def _remember(self, found: Rows) -> None:
        if not found.values:
            return
        at, values = max(found.values, key=lambda entry: entry[0])
        if at < self.newest.get(found.unit, 0):
            return
        self.newest[found.unit] = at
        known = self.latest.setdefault(found.unit, {})
        for name, value in zip(found.names, values, strict=True):
            if value is None:
                known.pop(name, None)
            else:
                known[name] = value

    def note(self, unit: str, number: int, payload: bytes) -> None:
        """Hand an alarm or an event on, as JSON."""
        try:
            said = json.loads(payload)
        except ValueError:
            said = {"bytes": payload.hex()}
        said = {"unit": unit, "record": number, **(said if isinstance(said, dict) else {})}
        if self._json_root is not None:
            data = json.dumps(said, separators=(",", ":")).encode()
            self._publish(f"{self._json_root}/{unit}/notes", data, 1, False)
