# SPDX-License-Identifier: Apache-2.0
"""Devices and buses in the status snapshot: state and error counts of each.

Does not decide about the state of a device; see `agent.fieldbus.device_session`. The rows are
written directly as JSON text, because they are made every second and a board has little memory.
`agent.telemetry.bus_text` formats them as text.

The state of a device is the first that applies: "wrong model" (the agent writes nothing to it),
"lost" (no reply), "refuses" (write unverified: it does not show the requested value), "unproven"
(not identified yet), "ok". `response_us` is its smoothed response time. `answered_us` is the
monotonic time of its last reply. Both are null before the first reply. `load_milli_pct` of a bus is
the used fraction of the wire time since the last snapshot. The names are those of the
configuration: they need no escapes (`agent.config.validate.is_valid_name`).
"""

from drivers.device.identity import MATCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.fieldbus.device_session import DeviceSession
    from agent.fieldbus.fieldbus import Fieldbus
    from drivers.modbus.bus import Bus

_DEVICE = (
    '{"name":"%s","bus":"%s","unit":%d,"state":"%s","transactions":%d,"errors":%d,'
    '"response_us":%s,"answered_us":%s}'
)
_BUS = (
    '{"name":"%s","open":%s,"load_milli_pct":%d,"overload":%s,"transactions":%d,"errors":%d,'
    '"timeouts":%d,"retries":%d,"dead_units":%d}'
)
_BOOL = ("false", "true")


def device_state(session: "DeviceSession") -> str:
    """Return the state of a device in a word or two."""
    if session.identity_mismatch:
        return "wrong model"
    if session.lost:
        return "lost"
    if session.write_unverified:
        return "refuses"
    return "ok" if session.device.identity == MATCH else "unproven"


def _number_or_null(value: int, known: bool) -> str:
    return str(value) if known else "null"


def devices_json(fieldbus: "Fieldbus") -> str:
    """Return a row for each device, in the order of the configuration."""
    rows = []
    for session in fieldbus.sessions:
        response = session.bus.unit_health(session.unit).response_us
        rows.append(
            _DEVICE
            % (
                session.name,
                fieldbus.names[fieldbus.buses.index(session.bus)],
                session.unit,
                device_state(session),
                session.transactions,
                session.errors,
                _number_or_null(response, response >= 0),
                _number_or_null(session.answered_at, session.answered_at > 0),
            )
        )
    return "[" + ",".join(rows) + "]"


def buses_json(fieldbus: "Fieldbus", now: int) -> str:
    """Return a row for each bus. Its load is measured since the last call: the status snapshot is
    the only caller.
    """
    overloaded = fieldbus.overloaded_buses()
    rows = []
    for name, bus in zip(fieldbus.names, fieldbus.buses):
        rows.append(_bus(name, bus, name in overloaded, now))
    return "[" + ",".join(rows) + "]"


def _bus(name: str, bus: "Bus", overloaded: bool, now: int) -> str:
    return _BUS % (
        name,
        _BOOL[bus.open],
        bus.load_milli_pct(now),
        _BOOL[overloaded],
        bus.transactions,
        bus.errors,
        bus.timeouts,
        bus.retries,
        bus.offline_units,
    )
