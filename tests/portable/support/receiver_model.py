# SPDX-License-Identifier: Apache-2.0
"""Receivers that execute the commands of four vendors, for the tests of the set-up.

Does not use the receiver of `hil` and has no satellites. The commands of each vendor come from its
documents, independently of `drivers.gnss.setup_vendors`. `ignored` names commands that are
acknowledged and not executed.
"""

from protocols.time_units import SECOND
from tests.portable.support.nmeatext import line

ALL = ("GPS", "BDS", "GLO", "GAL")
TALKERS = {"GPS": ("GP", "1"), "BDS": ("GB", "4"), "GLO": ("GL", "2"), "GAL": ("GA", "3")}
FIRST = {"GPS": 1, "BDS": 1, "GLO": 65, "GAL": 1}
KINDS = ("RMC", "GGA", "GSA", "GSV", "ZDA", "GLL", "VTG", "GST")


class ReceiverModel:
    """One receiver. `second` is its time; `lost` seconds without a fix; `commands` all commands."""

    def __init__(self, vendor, ignored=()):
        self.vendor = vendor
        self.ignored = ignored
        self.reset_to_factory()
        self.baud = 9600
        self.saved = 0
        self.commands = []
        self.time_us = 36_000 * SECOND
        self.answers = b""
        self._buffer = b""

    def reset_to_factory(self):
        """Restore the factory settings."""
        self.systems = list(ALL)
        self.kinds = list(KINDS)
        self.rate_ms = 1000
        self.lost = 0

    # Output.

    def next_epoch(self):
        """Return the next epoch."""
        self.time_us += self.rate_ms * 1000
        seconds, rest = divmod(self.time_us, SECOND)
        time = "%02d%02d%02d.%03d" % (
            seconds // 3600 % 24,
            seconds // 60 % 60,
            seconds % 60,
            rest // 1000,
        )
        fix = not self.lost
        self.lost = max(0, self.lost - 1)
        place = "2512.5,N,05516.5,E"
        bodies = {
            "RMC": "GNRMC,%s,%s,%s,0.0,0.0,261126,,,%s,V"
            % (time, "A" if fix else "V", place, "A" if fix else "N"),
            "GGA": "GNGGA,%s,%s,%d,10,0.7,12.3,M,-33.1,M,," % (time, place, fix),
            "ZDA": "GNZDA,%s,26,11,2026,00,00" % time,
            "GLL": "GNGLL,%s,%s,A,A" % (place, time),
            "VTG": "GNVTG,0.0,T,,M,0.0,N,0.0,K,A",
            "GST": "GNGST,%s,1,,,,0.5,0.5,0.9" % time,
        }
        out, self.answers = self.answers, b""
        for kind in KINDS:
            if kind in self.kinds:
                out += (
                    self._gsv_sentences()
                    if kind == "GSV"
                    else self._gsa_sentences()
                    if kind == "GSA"
                    else b""
                )
                out += line(bodies[kind]) if kind in bodies else b""
        return out

    def _gsa_sentences(self):
        out = b""
        for system in self.systems:
            numbers = ["%02d" % (FIRST[system] + i) for i in range(4)] + [""] * 8
            out += line("GNGSA,A,3,%s,1.2,0.6,1.0,%s" % (",".join(numbers), TALKERS[system][1]))
        return out

    def _gsv_sentences(self):
        out = b""
        for system in self.systems:
            quads = ["%02d,40,100,4%d" % (FIRST[system] + i, i) for i in range(4)]
            out += line("%sGSV,1,1,04,%s,1" % (TALKERS[system][0], ",".join(quads)))
        return out

    # Commands.

    def receive(self, data):
        """Receive bytes; execute complete commands."""
        self._buffer += data
        while self._buffer:
            size = self._command_length()
            if size is None:
                return
            command, self._buffer = self._buffer[:size], self._buffer[size:]
            self.commands.append(command)
            getattr(self, "_" + self.vendor)(command)

    def _command_length(self):
        if self._buffer[:1] == b"\xb5":
            if len(self._buffer) < 6:
                return None
            size = 8 + self._buffer[4] + (self._buffer[5] << 8)
            return size if len(self._buffer) >= size else None
        end = self._buffer.find(b"\r\n")
        return None if end < 0 else end + 2

    def _apply(self, setting, **changes):
        if setting not in self.ignored:
            for name, value in changes.items():
                setattr(self, name, value)

    def _restart(self, seconds):
        self._apply("start", lost=seconds)

    def _body(self, command):
        text = command.decode()
        assert text[0] == "$", text
        assert line(text[1:-5]).decode() == text, "checksum: " + text
        return text[1:-5].split(",")

    def _casic(self, command):
        fields = self._body(command)
        if fields[0] == "PCAS04":
            mask = int(fields[1])
            named = (("GPS", 1), ("BDS", 2), ("GLO", 4))
            self._apply("constellations", systems=[s for s, bit in named if mask & bit])
        elif fields[0] == "PCAS03":
            order = ("GGA", "GLL", "GSA", "GSV", "RMC", "VTG", "ZDA")
            kinds = [k for k, n in zip(order, fields[1:]) if n != "0"]
            self._apply("sentences", kinds=kinds + (["GST"] if fields[14] == "1" else []))
        elif fields[0] == "PCAS02":
            self._apply("rate", rate_ms=int(fields[1]))
        elif fields[0] == "PCAS01":
            self._apply("baud", baud=(4800, 9600, 19200, 38400, 57600, 115200)[int(fields[1])])
        elif fields[0] == "PCAS00":
            self.saved += 1
        elif fields[0] == "PCAS10":
            self._restart((0, 2, 5)[int(fields[1])])

    def _unicore(self, command):
        text = command.decode().strip()
        fields = text.split(" ")
        if fields[0] in ("MASK", "UNMASK"):
            rest = [s for s in self.systems if s != fields[1]]
            more = [fields[1]] if fields[0] == "UNMASK" else []
            self._apply("constellations", systems=[s for s in ALL if s in rest + more])
        elif fields[0] == "UNLOG":
            self._apply("sentences", kinds=[])
        elif fields[0][:2] == "GP":
            self._apply("sentences", kinds=self.kinds + [fields[0][2:]])
            self._apply("rate", rate_ms=int(float(fields[1]) * 1000 + 0.5))
        elif fields[:2] == ["CONFIG", "COM1"]:
            self._apply("baud", baud=int(fields[2]))
        elif fields[0] == "SAVECONFIG":
            self.saved += 1
        elif fields[0] == "RESET":
            self._restart(5 if fields[1:] == ["ALL"] else 2 if fields[1:] else 0)
        self.answers += line("command,%s,response: OK" % text)

    def _quectel(self, command):
        fields = self._body(command)
        if fields[0] == "PQTMCFGCNST":
            named = ("GPS", "GLO", "GAL", "BDS")
            on = [s for s, n in zip(named, fields[2:]) if n == "1"]
            self._apply("constellations", systems=[s for s in ALL if s in on])
            self.answers += line("PQTMCFGCNST,OK")
        elif fields[0] == "PAIR062":
            names = {0: "GGA", 1: "GLL", 2: "GSA", 3: "GSV", 4: "RMC", 5: "VTG", 6: "ZDA", 8: "GST"}
            kind = names[int(fields[1])]
            rest = [k for k in self.kinds if k != kind]
            self._apply("sentences", kinds=rest + ([kind] if fields[2] == "1" else []))
            self.answers += line("PAIR001,062,0")
        elif fields[0] == "PAIR050":
            self._apply("rate", rate_ms=int(fields[1]))
        elif fields[0] == "PAIR864":
            self._apply("baud", baud=int(fields[3]))
        elif fields[0] == "PQTMSAVEPAR":
            self.saved += 1
        elif fields[0][:5] in ("PQTMH", "PQTMW", "PQTMC"):
            self._restart({"PQTMHOT": 0, "PQTMWARM": 2, "PQTMCOLD": 5}[fields[0]])

    def _frame(self, command):
        a = b = 0
        for byte in command[2:-2]:
            a = (a + byte) & 255
            b = (b + a) & 255
        assert command[-2:] == bytes((a, b)), "checksum"
        return command[2], command[3], command[6:-2]

    def _ublox(self, command):
        kind, number, payload = self._frame(command)
        if (kind, number) != (6, 0x8A):
            self._ubx_common(kind, number, payload)
            return
        assert payload[:2] == b"\x00\x01"
        at = 4
        while at < len(payload):
            key = int.from_bytes(payload[at : at + 4], "little")
            size = (0, 1, 1, 2, 4)[key >> 28]
            value = int.from_bytes(payload[at + 4 : at + 4 + size], "little")
            self._key(key, value)
            at += 4 + size

    def _key(self, key, value):
        signals = {0x1031001F: "GPS", 0x10310021: "GAL", 0x10310022: "BDS", 0x10310025: "GLO"}
        first = {"RMC": 0xAB, "GGA": 0xBA, "GLL": 0xC9, "GSA": 0xBF, "GSV": 0xC4}
        first.update({"VTG": 0xB0, "ZDA": 0xD8, "GST": 0xD3})  # ..._I2C; UART1 is the next key
        if key in signals:
            self._switch("constellations", "systems", signals[key], value, ALL)
        elif key == 0x30210001:
            self._apply("rate", rate_ms=value)
        elif key == 0x40520001:
            self._apply("baud", baud=value)
        for kind in KINDS:
            if key == 0x20910000 + first[kind] + 1:
                self._switch("sentences", "kinds", kind, value, KINDS)

    def _switch(self, setting, name, item, on, order):
        rest = [w for w in getattr(self, name) if w != item] + ([item] if on else [])
        self._apply(setting, **{name: [w for w in order if w in rest]})

    def _ublox8(self, command):
        kind, number, payload = self._frame(command)
        if (kind, number) == (6, 0x3E):
            names = {0: "GPS", 2: "GAL", 3: "BDS", 6: "GLO"}
            assert len(payload) == 4 + 8 * payload[3]
            for at in range(4, len(payload), 8):
                on = payload[at + 4] & 1
                self._switch("constellations", "systems", names[payload[at]], on, ALL)
        elif (kind, number) == (6, 1):
            names = {0: "GGA", 1: "GLL", 2: "GSA", 3: "GSV", 4: "RMC", 5: "VTG", 7: "GST", 8: "ZDA"}
            assert payload[0] == 0xF0
            self._switch("sentences", "kinds", names[payload[1]], payload[2], KINDS)
        elif (kind, number) == (6, 8):
            assert payload[2:] == b"\x01\x00\x00\x00"
            self._apply("rate", rate_ms=int.from_bytes(payload[:2], "little"))
        elif (kind, number) == (6, 0):
            assert len(payload) == 20
            self._apply("baud", baud=int.from_bytes(payload[8:12], "little"))
        else:
            self._ubx_common(kind, number, payload)

    def _ubx_common(self, kind, number, payload):
        if (kind, number) == (6, 9):
            assert len(payload) == 13
            self.saved += 1
        elif (kind, number) == (6, 4):
            self._restart({0: 0, 1: 2, 0xFFFF: 5}[payload[0] | payload[1] << 8])
        else:
            raise AssertionError("UBX %d %d" % (kind, number))
