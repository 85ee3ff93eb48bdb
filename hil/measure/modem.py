"""Words for what is measured of the satellite link: at the gateway (truth), or as the unit says.

Every word needs a row with a modem; in others it is not known.
"""

from collections.abc import Callable

from hil.bench.testbed import Testbed
from hil.bench.testbed_satcom import SatcomTestbed
from hil.measure.base import Measure, ReadFunction, Status


def _testbed_value(read: Callable[[SatcomTestbed], float]) -> ReadFunction:
    return lambda testbed, _, __: None if testbed.satcom is None else float(read(testbed.satcom))


def _modem_value(name: str) -> ReadFunction:
    def read(_: Testbed, status: Status, __: str) -> float | None:
        value = (status.get("modem") or {}).get(name)
        return None if value is None else float(value)

    return read


def _worst_alarm_s(_: Testbed, status: Status, __: str) -> float | None:
    value = (status.get("modem") or {}).get("worst_alarm_us")
    return None if value is None else value / 1e6


def _count_queued(_: Testbed, status: Status, __: str) -> float | None:
    value = (status.get("modem") or {}).get("queued")
    return None if value is None else float(sum(value))


MODEM_MEASURES: dict[str, Measure] = {
    "ground_messages": Measure(
        "",
        "messages that reached the ground",
        _testbed_value(lambda s: s.ground.messages),
    ),
    "ground_duplicates": Measure(
        "",
        "messages that reached the ground again",
        _testbed_value(lambda s: s.ground.duplicates),
    ),
    "ground_bad": Measure(
        "", "datagrams that the ground cannot read", _testbed_value(lambda s: s.ground.undecodable)
    ),
    "ground_alarms": Measure(
        "",
        "alarms raised or cleared, as the ground knows them",
        _testbed_value(lambda s: len(s.ground.alarms)),
    ),
    "gateway_day_bytes": Measure(
        "By",
        "the most that the gateway has billed for one UTC day",
        _testbed_value(lambda s: s.gateway.max_day_bytes()),
    ),
    "gateway_sessions": Measure(
        "", "sessions that got through", _testbed_value(lambda s: s.gateway.sessions)
    ),
    "gateway_empty": Measure(
        "",
        "sessions that carried nothing either way",
        _testbed_value(lambda s: s.gateway.empty_sessions),
    ),
    "modem_tried": Measure("", "sessions that the unit has tried", _modem_value("tried")),
    "modem_sent": Measure("", "datagrams that the unit knows as sent", _modem_value("sent")),
    "modem_failed": Measure("", "sessions that failed", _modem_value("failed")),
    "modem_resets": Measure("", "times the modem was lost and found again", _modem_value("resets")),
    "modem_alarm_s": Measure("s", "longest time from an alarm to the gateway", _worst_alarm_s),
    "modem_queued": Measure("", "contents that wait", _count_queued),
    "modem_unacknowledged": Measure(
        "", "messages that wait for the ground", _modem_value("unacknowledged")
    ),
    "modem_acknowledged": Measure("", "messages that the ground has", _modem_value("acknowledged")),
    "modem_repeated": Measure("", "messages sent once more", _modem_value("repeated")),
    "modem_forged": Measure(
        "", "datagrams from the ground with a wrong tag", _modem_value("forged")
    ),
    "modem_replayed": Measure(
        "", "datagrams from the ground that came again", _modem_value("replayed")
    ),
    "modem_windows": Measure("", "windows so far", _modem_value("windows")),
    "modem_useful_windows": Measure(
        "", "windows in which something was sent", _modem_value("useful_windows")
    ),
    "modem_spent_bytes": Measure(
        "By", "what the unit thinks it has spent today", _modem_value("spent_bytes")
    ),
    "modem_ready": Measure("", "1: the modem is set up", _modem_value("ready")),
}
"""The words."""
