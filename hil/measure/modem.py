"""Words for what is measured of the satellite link: at the gateway (truth), or as the unit says.

Every word needs a row with a modem; in others it is not known.
"""

from collections.abc import Callable

from hil.bench.testbed import Row
from hil.bench.testbed_satcom import Satellite
from hil.measure.base import Measure, Status

Read = Callable[[Row, Status, str], float | None]


def _truth(read: Callable[[Satellite], float]) -> Read:
    return lambda row, _, __: None if row.satellite is None else float(read(row.satellite))


def _said(name: str) -> Read:
    def read(_: Row, status: Status, __: str) -> float | None:
        value = (status.get("modem") or {}).get(name)
        return None if value is None else float(value)

    return read


def _alarm_s(_: Row, status: Status, __: str) -> float | None:
    value = (status.get("modem") or {}).get("worst_alarm_us")
    return None if value is None else value / 1e6


def _queued(_: Row, status: Status, __: str) -> float | None:
    value = (status.get("modem") or {}).get("queued")
    return None if value is None else float(sum(value))


MODEM_MEASURES: dict[str, Measure] = {
    "ground_messages": Measure(
        "",
        "messages that reached the ground",
        _truth(lambda s: s.ground.messages),
    ),
    "ground_duplicates": Measure(
        "",
        "messages that reached the ground again",
        _truth(lambda s: s.ground.duplicates),
    ),
    "ground_bad": Measure(
        "", "datagrams that the ground cannot read", _truth(lambda s: s.ground.bad)
    ),
    "ground_alarms": Measure(
        "",
        "alarms raised or cleared, as the ground knows them",
        _truth(lambda s: len(s.ground.alarms)),
    ),
    "gateway_day_bytes": Measure(
        "By",
        "the most that the gateway has billed for one UTC day",
        _truth(lambda s: s.gateway.worst_day()),
    ),
    "gateway_sessions": Measure(
        "", "sessions that got through", _truth(lambda s: s.gateway.sessions)
    ),
    "gateway_empty": Measure(
        "",
        "sessions that carried nothing either way",
        _truth(lambda s: s.gateway.empty_sessions),
    ),
    "modem_tried": Measure("", "sessions that the unit has tried", _said("tried")),
    "modem_sent": Measure("", "datagrams that the unit knows as sent", _said("sent")),
    "modem_failed": Measure("", "sessions that failed", _said("failed")),
    "modem_resets": Measure("", "times the modem was lost and found again", _said("resets")),
    "modem_alarm_s": Measure("s", "longest time from an alarm to the gateway", _alarm_s),
    "modem_queued": Measure("", "contents that wait", _queued),
    "modem_unacknowledged": Measure(
        "", "messages that wait for the ground", _said("unacknowledged")
    ),
    "modem_acknowledged": Measure("", "messages that the ground has", _said("acknowledged")),
    "modem_repeated": Measure("", "messages sent once more", _said("repeated")),
    "modem_forged": Measure("", "datagrams from the ground with a wrong tag", _said("forged")),
    "modem_replayed": Measure("", "datagrams from the ground that came again", _said("replayed")),
    "modem_windows": Measure("", "windows so far", _said("windows")),
    "modem_useful_windows": Measure(
        "", "windows in which something was sent", _said("useful_windows")
    ),
    "modem_spent_bytes": Measure(
        "By", "what the unit thinks it has spent today", _said("spent_bytes")
    ),
    "modem_ready": Measure("", "1: the modem is set up", _said("ready")),
}
"""The words."""
