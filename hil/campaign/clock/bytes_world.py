# SPDX-License-Identifier: Apache-2.0
"""The run of a case with all bytes: sentences on a serial line, and the agent's receiver driver.

`hil.campaign.clock.world` gives the clock its fixes. Here the receiver writes RMC, GGA and GSV,
the line gives each byte its time, and the driver under test (`drivers.gnss.receiver`) makes the
fixes. So framing, checksums, grouping, time stamps, dates and 23:59:60 are part of the case. The
sentences are written here, without code of the agent.

`draw_line` draws the line of a case: its rate, the bytes of a chunk as the operating system gives
them, satellites per epoch, flipped bits and binary noise.
"""

import random
from dataclasses import dataclass

from drivers.gnss.receiver import ReceiverDriver
from hil.campaign.clock.case_generator import generate_case
from hil.campaign.clock.model import ClockCase, ClockResult
from hil.campaign.clock.world import ClockWorld

_SECOND = 1_000_000
_DAY_US = 86_400 * _SECOND
_BITS = 10
_SITE = "2512.0000,N,05512.0000,E"
_SATELLITES = "GPGSV,1,1,04,05,41,120,38,13,22,311,35,15,67,010,44,24,35,220,40"


@dataclass(frozen=True)
class LineModel:
    """The line. `chunk`: bytes that arrive together; `flips`: share of epochs with a flipped bit;
    `noise`: share of epochs with binary noise before them; `satellites`: GSV sentences per epoch.
    """

    baud: int
    chunk: int
    flips: float
    noise: float
    satellites: int


def draw_line(case: ClockCase) -> LineModel:
    """Draw the line of a case; it can carry its sentences."""
    rng = random.Random(f"line/{case.seed}")
    bauds = (115_200,) if case.receiver.period_s < 0.5 else (9_600, 38_400, 115_200)
    return LineModel(
        rng.choice(bauds),
        rng.choice((1, 16, 64, 512)),
        rng.choice((0.0, 0.0, 0.001, 0.02)),
        rng.choice((0.0, 0.0, 0.01)),
        0 if case.receiver.period_s < 0.5 else rng.choice((0, 1, 4)),
    )


def write_sentence(body: str) -> bytes:
    """Return a body as a sentence."""
    check = 0
    for char in body:
        check ^= ord(char)
    return f"${body}*{check:02X}\r\n".encode()


def civil(days: int) -> tuple[int, int, int]:
    """Return year, month and day of a number of days since 1970 (H. Hinnant, days_from_civil)."""
    days += 719_468
    era, of_era = divmod(days, 146_097)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year + 400 * era + (month <= 2), month, day


def epoch_bytes(utc_us: int, is_second_60: bool, satellites: int) -> bytes:
    """Return the sentences of an epoch. In 23:59:60, `utc_us` is that of the next midnight."""
    days, of_day = divmod(utc_us - (_SECOND if is_second_60 else 0), _DAY_US)
    year, month, day = civil(days)
    second, micro = divmod(of_day, _SECOND)
    hour, minute = second // 3600, second // 60 % 60
    time = f"{hour:02d}{minute:02d}{second % 60 + is_second_60:02d}.{micro // 1000:03d}"
    date = f"{day:02d}{month:02d}{year % 100:02d}"
    data = write_sentence(f"GNRMC,{time},A,{_SITE},0.0,,{date},,,A,V")
    data += write_sentence(f"GNGGA,{time},{_SITE},1,08,0.9,12.0,M,,M,,")
    return data + write_sentence(_SATELLITES) * satellites


class BytesWorld(ClockWorld):
    """The run of one case on a line; see `run_with_bytes`."""

    def __init__(self, case: ClockCase, line: LineModel) -> None:
        self.line = line
        self._chunks: list[tuple[int, bytes]] = []
        self._free_at = 0
        self.driver = self._make_driver(case)
        ClockWorld.__init__(self, case)

    def _make_driver(self, case: ClockCase) -> ReceiverDriver:
        stated_us = round((case.receiver.stated_ms or 0.0) * 1000)
        return ReceiverDriver(0, self.line.baud, _BITS, stated_us)

    def send(self, utc_us: int, reasons: tuple[str, ...], arrival: int) -> None:
        """Put an epoch on the line; its first byte arrives at `arrival`."""
        line, rng = self.line, self.rng
        data = epoch_bytes(utc_us, bool(reasons), line.satellites)
        if line.flips and rng.random() < line.flips:
            at = rng.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        begin = max(arrival, self._free_at)
        if line.noise and rng.random() < line.noise:
            noise = rng.randbytes(rng.randint(1, 20))
            begin = max(begin, self._put(noise, begin - len(noise) * self._byte_us()))
        self._put(data, begin)

    def _byte_us(self) -> int:
        return _BITS * _SECOND // self.line.baud

    def _put(self, data: bytes, begin: int) -> int:
        """Put bytes on the line from `begin` on, µs; return the time after them."""
        line, bits = self.line, _BITS * _SECOND
        begin = max(begin, self._free_at)
        for at in range(0, len(data), line.chunk):
            part = data[at : at + line.chunk]
            last = at + len(part) - 1
            self._chunks.append((begin + last * bits // line.baud, part))
        self._free_at = begin + len(data) * bits // line.baud
        return self._free_at

    def deliver(self, until: int) -> None:
        """Give the driver the chunks that have arrived, and the clock their fixes."""
        chunks, driver = self._chunks, self.driver
        while chunks and chunks[0][0] <= until:
            at, data = chunks.pop(0)
            driver.receive(data, at)
            for fix in driver.take_fixes():
                self.clock.add_fix(fix)

    def pending(self) -> bool:
        """Return whether bytes are on their way."""
        return bool(self._chunks)

    def forget_pending(self) -> None:
        """The controller stopped: bytes on the line are lost, and the driver begins again."""
        self._chunks = []
        self._free_at = 0
        self.driver = self._make_driver(self.case)


def run_with_bytes(case: ClockCase) -> ClockResult:
    """Run a case with all bytes on the line that `draw_line` gives."""
    return BytesWorld(case, draw_line(case)).run()


def bytes_seed(seed: int) -> tuple[ClockCase, ClockResult]:
    """Draw and run the case of a seed with all bytes."""
    case = generate_case(seed)
    return case, run_with_bytes(case)
