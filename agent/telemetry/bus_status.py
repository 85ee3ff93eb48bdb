"""The field bus in the status snapshot: how each device answers, how busy each bus is.

Not the judge: who is lost or refuses writes is `agent.fieldbus.device_session`'s affair. Rows are
written as JSON text at once, since they are made every second and a board's heap is small. For
people they are put into words by `agent.telemetry.bus_text`.

A device's state is the first of these that is so: "wrong model" (nothing is written to it), "lost"
(it does not answer), "refuses" (it does not show what it is told), "unproven" (it has not said yet
who it is), "ok". `response_us` is its smoothed response time, `answered_us` the monotonic time of
its last answer, both null before the first. A bus's `load_milli_pct` is the share of wire time that
was in use since the last snapshot.
"""

from agent.core.json_writer import JsonValue, quote
from drivers.device.identity import MATCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.fieldbus.device_session import DeviceSession
    from agent.fieldbus.fieldbus import Fieldbus
    from drivers.modbus.bus import Bus

_DEVICE = (
    '{"name":%s,"bus":%s,"unit":%d,"state":"%s","transactions":%d,"errors":%d,'
    '"response_us":%s,"answered_us":%s}'
)
_BUS = (
    '{"name":%s,"open":%s,"load_milli_pct":%d,"overload":%s,"transactions":%d,"errors":%d,'
    '"timeouts":%d,"retries":%d,"dead_units":%d}'
)
_BOOL = ("false", "true")


def device_state(session: "DeviceSession") -> str:
    """The state of a device in a word or two."""
    if session.identity_mismatch:
        return "wrong model"
    if session.lost:
        return "lost"
    if session.write_unverified:
        return "refuses"
    return "ok" if session.device.identity == MATCH else "unproven"


def _number_or_null(value: int, known: bool) -> str:
    return str(value) if known else "null"


def devices(fieldbus: "Fieldbus") -> JsonValue:
    """A row for each device, in the order of the configuration."""
    rows = []
    for session in fieldbus.sessions:
        response = session.bus.unit_health(session.unit).response_us
        rows.append(
            _DEVICE
            % (
                quote(session.name),
                quote(fieldbus.names[fieldbus.buses.index(session.bus)]),
                session.unit,
                device_state(session),
                session.transactions,
                session.errors,
                _number_or_null(response, response >= 0),
                _number_or_null(session.answered_at, session.answered_at > 0),
            )
        )
    return JsonValue("[" + ",".join(rows) + "]")


def buses(fieldbus: "Fieldbus", now: int) -> JsonValue:
    """A row for each bus; its load is measured from one call to the next."""
    overloaded = fieldbus.overloaded_buses()
    rows = []
    for name, bus in zip(fieldbus.names, fieldbus.buses):
        rows.append(_bus(name, bus, name in overloaded, now))
    return JsonValue("[" + ",".join(rows) + "]")


def _bus(name: str, bus: "Bus", overloaded: bool, now: int) -> str:
    return _BUS % (
        quote(name),
        _BOOL[bus.open],
        bus.load_milli_pct(now),
        _BOOL[overloaded],
        bus.transactions,
        bus.errors,
        bus.timeouts,
        bus.retries,
        bus.offline_units,
    )
