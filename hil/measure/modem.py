# SPDX-License-Identifier: Apache-2.0
"""Measures of the satellite link: true values at the gateway, and the agent's status.

All of them need a row with a modem. In other rows they are not known.
"""

from collections.abc import Callable

from hil.bench.testbed import Testbed
from hil.bench.testbed_satcom import SatcomTestbed
from hil.measure.base import Measure, ReadFunction, Status, component_status


def _testbed_value(read: Callable[[SatcomTestbed], float]) -> ReadFunction:
    return lambda testbed, _, __: None if testbed.satcom is None else float(read(testbed.satcom))


def _modem_value(name: str) -> ReadFunction:
    def read(_: Testbed, status: Status, __: str) -> float | None:
        value = component_status(status, "modem").get(name)
        return None if value is None else float(value)

    return read


def _worst_alarm_s(_: Testbed, status: Status, __: str) -> float | None:
    value = component_status(status, "modem").get("worst_alarm_us")
    return None if value is None else value / 1e6


def _count_queued(_: Testbed, status: Status, __: str) -> float | None:
    value = component_status(status, "modem").get("queued")
    return None if value is None else float(sum(value))


MODEM_MEASURES: dict[str, Measure] = {
    "ground_messages": Measure(
        "",
        "messages that reached the ground",
        _testbed_value(lambda s: s.ground.messages),
    ),
    "ground_duplicates": Measure(
        "",
        "duplicate messages that reached the ground",
        _testbed_value(lambda s: s.ground.duplicates),
    ),
    "ground_bad": Measure(
        "",
        "datagrams that the ground cannot decode",
        _testbed_value(lambda s: s.ground.undecodable),
    ),
    "ground_alarms": Measure(
        "",
        "raised and cleared alarms that reached the ground",
        _testbed_value(lambda s: len(s.ground.alarms)),
    ),
    "gateway_day_bytes": Measure(
        "By",
        "largest number of bytes billed for one UTC day",
        _testbed_value(lambda s: s.gateway.max_day_bytes()),
    ),
    "gateway_sessions": Measure(
        "", "successful sessions", _testbed_value(lambda s: s.gateway.sessions)
    ),
    "gateway_empty": Measure(
        "",
        "sessions without a message in either direction",
        _testbed_value(lambda s: s.gateway.empty_sessions),
    ),
    "modem_tried": Measure("", "sessions that the unit attempted", _modem_value("tried")),
    "modem_sent": Measure("", "datagrams that the unit reports as sent", _modem_value("sent")),
    "modem_failed": Measure("", "failed sessions", _modem_value("failed")),
    "modem_resets": Measure("", "modem restarts that the unit detected", _modem_value("resets")),
    "modem_alarm_s": Measure(
        "s", "longest time from an alarm to its arrival at the gateway", _worst_alarm_s
    ),
    "modem_queued": Measure("", "queued messages", _count_queued),
    "modem_unacknowledged": Measure(
        "", "messages without an acknowledgement of the ground", _modem_value("unacknowledged")
    ),
    "modem_acknowledged": Measure(
        "", "messages that the ground acknowledged", _modem_value("acknowledged")
    ),
    "modem_repeated": Measure("", "messages sent again", _modem_value("repeated")),
    "modem_forged": Measure(
        "", "datagrams from the ground with a wrong authentication tag", _modem_value("forged")
    ),
    "modem_replayed": Measure("", "replayed datagrams from the ground", _modem_value("replayed")),
    "modem_windows": Measure("", "contact windows since the start", _modem_value("windows")),
    "modem_useful_windows": Measure(
        "", "contact windows with a sent message", _modem_value("useful_windows")
    ),
    "modem_spent_bytes": Measure(
        "By", "bytes spent today, as the unit counts them", _modem_value("spent_bytes")
    ),
    "modem_ready": Measure("", "1: the modem is configured", _modem_value("ready")),
}
"""All measures of this module."""
