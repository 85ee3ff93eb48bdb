# SPDX-License-Identifier: Apache-2.0
"""Outputs of the relay: the registry of the formats, and one front for those that are selected.

Does not write a format; see `sparkplug.output`, `alarm_output` and `text_outputs`. Each output
takes a block's rows once. While one output is not ready (for example, the primary host is offline),
records stay in the outbox. So do blocks whose schema is not known yet.
"""

from collections.abc import Callable
from typing import NamedTuple

from deploy.relay.alarm_output import AlarmOutput
from deploy.relay.output import Output, OutputContext, Page
from deploy.relay.row_format import Rows
from deploy.relay.sparkplug.output import SparkplugOutput
from deploy.relay.text_outputs import JsonOutput, LinesOutput, MetricsOutput


class OutputSpec(NamedTuple):
    """A format: its option `--NAME METAVAR`, its class, the help text of the option.

    A format without `metavar` has no option and is always on.
    """

    name: str
    factory: Callable[[OutputContext], Output]
    metavar: str = ""
    help: str = ""


OUTPUTS = (
    OutputSpec("sparkplug", SparkplugOutput, "GROUP", "publish Sparkplug B 3.0 in this group"),
    OutputSpec("json", JsonOutput, "TOPIC", "publish JSON below this topic"),
    OutputSpec("alarms", AlarmOutput, "TOPIC", "publish alarms that a person must get below TOPIC"),
    OutputSpec("lines", LinesOutput, "FILE", "append InfluxDB lines to a file"),
    OutputSpec("metrics", MetricsOutput),
)


class Outputs:
    """The selected outputs; `arguments`: the value of each option by name.

    `make_context` returns the context of an output for the value of its option.
    """

    def __init__(
        self, arguments: dict[str, str], make_context: Callable[[str], OutputContext]
    ) -> None:
        self._outputs = [
            spec.factory(make_context(arguments.get(spec.name, "")))
            for spec in OUTPUTS
            if spec.name in arguments or not spec.metavar
        ]

    def will(self) -> tuple[str, bytes, int, bool] | None:
        """Return the will of the connection; a connection has one at most."""
        return next((will for output in self._outputs if (will := output.will())), None)

    def topics(self) -> list[str]:
        """Return the topics to subscribe to."""
        return [topic for output in self._outputs for topic in output.topics()]

    def pages(self) -> dict[str, Page]:
        """Return the pages of the HTTP server, by path."""
        return {path: page for output in self._outputs for path, page in output.pages().items()}

    def on_connected(self) -> None:
        """Report a new connection to the broker."""
        for output in self._outputs:
            output.on_connected()

    def on_message(self, topic: str, payload: bytes) -> None:
        """Report a message."""
        for output in self._outputs:
            output.on_message(topic, payload)

    def on_unit_offline(self, unit: str) -> None:
        """Report the end of the connection of a unit."""
        for output in self._outputs:
            output.on_unit_offline(unit)

    def process(self) -> None:
        """Send due messages other than rows and notes."""
        for output in self._outputs:
            output.process()

    def ready(self) -> bool:
        """Return whether all outputs can take rows and notes now."""
        return all(output.ready() for output in self._outputs)

    def rows(self, block: Rows) -> None:
        """Write a block of rows to each output."""
        for output in self._outputs:
            output.rows(block)

    def note(self, unit: str, number: int, payload: bytes) -> None:
        """Write an alarm or an event to each output."""
        for output in self._outputs:
            output.note(unit, number, payload)

    def close(self) -> None:
        """Send the last messages of each output."""
        for output in self._outputs:
            output.close()
