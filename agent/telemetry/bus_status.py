"""The field bus in the status snapshot: how each device answers, how busy each bus is.

Not the judge: who is lost or refuses writes is `agent.fieldbus.device_session`'s affair. Rows are written as JSON
text at once, since they are made every second and a board's heap is small. For people they are put
into words by `agent.telemetry.bus_text`.

A device's state is the first of these that is so: "wrong model" (nothing is written to it), "lost"
(it does not answer), "refuses" (it does not show what it is told), "unproven" (it has not said yet
who it is), "ok". `response_us` is its smoothed response time, `answered_us` the monotonic time of
its last answer, both null before the first. A bus's `load_milli_pct` is the share of wire time that
was in use since the last snapshot.
"""

from agent.core.json_writer import Json, quote
from drivers.device.identity import MATCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.fieldbus.device_session import Station
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


def state(station: "Station") -> str:
    """The state of a device in a word or two."""
    if station.stranger:
        return "wrong model"
    if station.lost:
        return "lost"
    if station.stubborn:
        return "refuses"
    return "ok" if station.device.identity == MATCH else "unproven"


def _known(value: int, known: bool) -> str:
    return str(value) if known else "null"


def devices(fieldbus: "Fieldbus") -> Json:
    """A row for each device, in the order of the configuration."""
    rows = []
    for station in fieldbus.stations:
        response = station.bus.health(station.unit).response_us
        rows.append(
            _DEVICE
            % (
                quote(station.name),
                quote(fieldbus.names[fieldbus.buses.index(station.bus)]),
                station.unit,
                state(station),
                station.transactions,
                station.errors,
                _known(response, response >= 0),
                _known(station.answered_at, station.answered_at > 0),
            )
        )
    return Json("[" + ",".join(rows) + "]")


def buses(fieldbus: "Fieldbus", now: int) -> Json:
    """A row for each bus; its load is measured from one call to the next."""
    late = fieldbus.overloaded_buses()
    rows = []
    for name, bus in zip(fieldbus.names, fieldbus.buses):
        rows.append(_bus(name, bus, name in late, now))
    return Json("[" + ",".join(rows) + "]")


def _bus(name: str, bus: "Bus", late: bool, now: int) -> str:
    return _BUS % (
        quote(name),
        _BOOL[bus.open],
        bus.load_milli_pct(now),
        _BOOL[late],
        bus.transactions,
        bus.errors,
        bus.timeouts,
        bus.retries,
        bus.dead_units,
    )
