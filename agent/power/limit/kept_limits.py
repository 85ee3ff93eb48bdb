# SPDX-License-Identifier: Apache-2.0
"""Caps and switched-off loads over a restart of the agent.

Keeps the commanded caps, the limit of each load and the loads that were commanded off. Does not
read the limits back from the services; see `Load.adopt_limit`. The stricter of both applies.

The record is a text. Its first line has the caps: W (0: none) and percent. Each further line is a
load: its name, its limit in W, and 1 (on), 2 (on and hot) or 0 (commanded off). A load that was hot
stays hot until its temperature is read: behind a kinked hose, its service can be silent. The line
`hot:` + name, 0, 0 says that `device_hot` shows a load that is off, or that runs again since less
than a minute. The line `out:` + name, 0, 0 says that the outlets of a load with a service are off
too. The line `run:` + name, 0, 0 says that a load was switched on and has not drawn power yet: the
order may not have arrived. The line `trip:` + name has how often a load was overheated, and 0.
Older releases know no load of these names. The last line is `crc:` + the CRC-16 of the text before,
0, 0. A record with another CRC applies nothing: one wrong digit switches off a load that runs.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord
from agent.core.stored_record import StoredRecord
from protocols.modbus.crc import crc16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.power.load import Load

KEY = "throttle.limits"
_SHOWN, _OUTLETS, _STARTING, _TRIPS = "hot:", "out:", "run:", "trip:"
_CRC = b"\ncrc:"
_LARGEST_W, _NO_CAP_PCT = 100_000_000, 100
CAPS_RESTORED = AlarmRecord(
    "caps_restored", NORMAL, "limits from before the restart are in force", "", False
)


class KeptLimits:
    """The record of `loads`. `restored`: a limit of it has been in force since the restart."""

    def __init__(self, loads: "list[Load]", port: int) -> None:
        self.record = StoredRecord(port, KEY)
        self.restored = False
        self._loads = loads
        self._stored = self.encode(0, 100)

    def encode(self, cap_w: int, cap_pct: int) -> bytes:
        """Return the record for the present limits and these caps."""
        lines = ["%d %d" % (cap_w, cap_pct)]
        for load in self._loads:
            state = load.is_on + (load.is_on and load.is_hot and not load.is_unseen)
            lines.append("%s %d %d" % (load.name, load.limit_w, state))
            if load.is_heat_shown and state < 2:
                lines.append("%s%s 0 0" % (_SHOWN, load.name))
            if load.outlets_off and load.has_system and not load.is_on:
                lines.append("%s%s 0 0" % (_OUTLETS, load.name))
            if load.is_starting:
                lines.append("%s%s 0 0" % (_STARTING, load.name))
            if load.heat_trips:
                lines.append("%s%s %d 0" % (_TRIPS, load.name, load.heat_trips))
        return "\n".join(lines).encode()

    def save(self, cap_w: int, cap_pct: int) -> None:
        """Store the present limits, if they have changed and the stored ones were read."""
        if not self.record.is_open or not self.record.is_settled:
            return
        text = self.encode(cap_w, cap_pct)
        if text != self._stored:
            self._stored = text
            self.record.write(text + _CRC + b"%d 0 0" % crc16(text))

    def restore(self, data: bytes, now: int) -> "tuple[int, int] | None":
        """Apply an answer of the store to the loads. Return (cap in W, cap in percent), or None.

        A record that cannot be read applies nothing; the limits of the services count then.
        """
        waited = not self.record.is_settled
        payload = self.record.receive(data)
        if payload is None or not waited:
            return None
        text, found, crc = payload.partition(_CRC)
        if found and crc != b"%d 0 0" % crc16(text):
            return None
        self._stored = text
        return self.apply(text, now)

    def apply(self, payload: bytes, now: int) -> "tuple[int, int] | None":
        """Apply a record to the loads. Return its caps, or None if it has none, or impossible ones.

        It can come from the other controller of a pair, with other software.
        """
        caps = None
        try:
            rows = [line.split(" ") for line in payload.decode().split("\n")]
            caps = int(rows[0][0]), int(rows[0][1])
            if not (0 <= caps[0] <= _LARGEST_W and 0 <= caps[1] <= _NO_CAP_PCT):
                return None
            for name, limit, on in rows[1:]:
                for load in self._loads:
                    if load.name == name:
                        self._restore_load(load, int(limit), on != "0", now)
                        if on == "2":
                            load.set_heat(True, False)
                    elif name == _SHOWN + load.name:
                        load.set_heat_shown(True)
                    elif name == _OUTLETS + load.name:
                        load.set_outlets(not load.is_on)
                    elif name == _STARTING + load.name and load.is_on:
                        load.resume(now)
                    elif name == _TRIPS + load.name:
                        load.count_heat_trip(max(0, int(limit) - load.heat_trips))
        except (ValueError, IndexError):
            return caps
        self.restored = self.restored or caps[0] > 0 or caps[1] < 100
        return caps

    def update(self, is_limited: bool) -> bool:
        """Return whether restored limits are still in force. `is_limited`: any limit is."""
        self.restored = self.restored and is_limited
        return self.restored

    def _restore_load(self, load: "Load", limit_w: int, on: bool, now: int) -> None:
        if limit_w < load.limit_w:
            self.restored = True
            load.lower_limit(max(load.min_w, limit_w), now)
            load.send_limit(now)
        if load.is_on and not on:
            self.restored = True
            load.keep_off(now)
