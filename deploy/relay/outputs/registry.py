# SPDX-License-Identifier: Apache-2.0
"""Outputs of the relay: the registry, and one front for those that are selected.

Does not deliver; see `deploy.relay.delivery`. An output with a client library is imported only if
it is selected.
"""

import importlib
from collections.abc import Callable
from typing import NamedTuple

from deploy.errors import DeployError
from deploy.relay.outputs.base import Output, OutputContext, Page


class OutputSpec(NamedTuple):
    """An output: its option `--NAME METAVAR`, `module:class`, the help text of the option.

    An output without `metavar` has no option and is always on. `stores`: it keeps the data, so it
    is required by default: a unit gets its receipt only after it. `holds_all`: it takes alarms,
    events and rows without UTC too, and acknowledges them. Without such a store, the fleet store is
    added; a receipt that waits for outputs waits for one such output at least.
    """

    name: str
    factory: str
    metavar: str = ""
    help: str = ""
    stores: bool = False
    holds_all: bool = True


_PACKAGE = "deploy.relay.outputs."
OUTPUTS = (
    OutputSpec(
        "fleet",
        _PACKAGE + "fleet_store:FleetStoreOutput",
        "FILE",
        "write the embedded store (SQLite), for `coldloop fleet` (default without another store: "
        "STORE with the suffix .fleet)",
        stores=True,
    ),
    OutputSpec(
        "postgres",
        _PACKAGE + "postgres_output:PostgresOutput",
        "URI",
        "write to PostgreSQL or TimescaleDB",
        stores=True,
    ),
    OutputSpec(
        "influx",
        _PACKAGE + "influx_output:InfluxOutput",
        "URL",
        "post InfluxDB lines, for example to VictoriaMetrics: http://HOST:8428/write",
        stores=True,
        holds_all=False,
    ),
    OutputSpec(
        "clickhouse",
        _PACKAGE + "clickhouse_output:ClickhouseOutput",
        "URL|FOLDER",
        "write to a ClickHouse server, http://USER@HOST:8123/DATABASE, or to the embedded engine "
        "in FOLDER",
        stores=True,
    ),
    OutputSpec(
        "parquet",
        _PACKAGE + "parquet_output:ParquetOutput",
        "FOLDER",
        "write Parquet files by day and site",
        stores=True,
    ),
    OutputSpec(
        "kafka",
        _PACKAGE + "kafka_output:KafkaOutput",
        "SERVERS/PREFIX",
        "produce to PREFIX.rows and PREFIX.notes of Kafka or Redpanda",
        stores=True,
    ),
    OutputSpec(
        "sparkplug",
        "deploy.relay.sparkplug.output:SparkplugOutput",
        "GROUP",
        "publish Sparkplug B 3.0 in this group",
        holds_all=False,
    ),
    OutputSpec(
        "json",
        _PACKAGE + "text_outputs:JsonOutput",
        "TOPIC",
        "publish JSON below this topic",
    ),
    OutputSpec(
        "alarms",
        _PACKAGE + "alarm_output:AlarmOutput",
        "TOPIC",
        "publish alarms that a person must get below TOPIC",
        holds_all=False,
    ),
    OutputSpec(
        "lines",
        _PACKAGE + "text_outputs:LinesOutput",
        "FILE",
        "append InfluxDB lines to a file of at most 64 MiB; the one before is FILE.1",
        holds_all=False,
    ),
    OutputSpec("metrics", _PACKAGE + "metrics_output:MetricsOutput"),
)
HTTP_OUTPUTS = ("influx", "clickhouse")
"""Outputs whose option can be the URL of a server."""


class Outputs:
    """The selected outputs by name; `arguments`: the value of each option by name.

    `make_context` returns the context of an output for its name and the value of its option.
    """

    def __init__(
        self, arguments: dict[str, str], make_context: Callable[[str, str], OutputContext]
    ) -> None:
        self.by_name: dict[str, Output] = {}
        try:
            for spec in OUTPUTS:
                if spec.name in arguments or not spec.metavar:
                    context = make_context(spec.name, arguments.get(spec.name, ""))
                    self.by_name[spec.name] = _load(spec)(context)
        except Exception:
            for output in self.by_name.values():
                output.close()
            raise
        self._outputs = list(self.by_name.values())

    def will(self) -> tuple[str, bytes, int, bool] | None:
        """Return the will of the next connection; a connection has one at most."""
        return next((will for output in self._outputs if (will := output.will())), None)

    def uses_broker(self) -> bool:
        """Return whether an output needs a connection to the broker."""
        return any(output.USES_BROKER for output in self._outputs)

    def topics(self) -> list[str]:
        """Return the topics to subscribe to."""
        return [topic for output in self._outputs for topic in output.topics()]

    def pages(self) -> dict[str, Page]:
        """Return the pages of the HTTP server, by path."""
        return {path: page for output in self._outputs for path, page in output.pages().items()}

    def on_connecting(self) -> None:
        """Report that a connection to the broker begins."""
        for output in self._outputs:
            output.on_connecting()

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

    def on_unit_report(self, unit: str, payload: bytes) -> None:
        """Report a message of the topic `cfg/reported` of a unit."""
        for output in self._outputs:
            output.on_unit_report(unit, payload)

    def on_unit_state(self, unit: str, payload: bytes) -> None:
        """Report a message of the topic `state` of a unit."""
        for output in self._outputs:
            output.on_unit_state(unit, payload)

    def close(self) -> None:
        """Send the last messages of each output."""
        for output in self._outputs:
            output.close()


def _load(spec: OutputSpec) -> Callable[[OutputContext], Output]:
    module, _, name = spec.factory.partition(":")
    try:
        factory: Callable[[OutputContext], Output] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise DeployError(
            f"--{spec.name} needs {error.name}: pip install 'coldloop[relay]'"
        ) from None
    return factory


def has_store(names: set[str]) -> bool:
    """Return whether one of the outputs stores all records."""
    return any(spec.stores and spec.holds_all for spec in OUTPUTS if spec.name in names)


def check_required(names: set[str]) -> None:
    """Raise DeployError if there are required outputs, and each drops a part of the records."""
    if names and not any(spec.holds_all for spec in OUTPUTS if spec.name in names):
        raise DeployError(
            f"--required {' '.join(sorted(names))}: drops alarms, events or rows without "
            "UTC; require another output too, for example fleet"
        )


def default_required(names: set[str]) -> set[str]:
    """Return the outputs that must acknowledge before a receipt.

    These are all that store. Without one of them: all outputs with an option.
    """
    selected = [spec for spec in OUTPUTS if spec.name in names and spec.metavar]
    stores = {spec.name for spec in selected if spec.stores}
    return stores or {spec.name for spec in selected}
