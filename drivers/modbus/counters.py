# SPDX-License-Identifier: Apache-2.0
"""Counters of a bus: transactions, attempts, received bytes and wire time.

Does not decide anything: `drivers.modbus.bus` counts, other modules read. Counters are monotonic.
"""

from drivers.modbus.transaction import INVALID_REPLY, TIMEOUT
from protocols.modbus.pdu import EXCEPTION, GOOD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.modbus import rtu, tcp
    from protocols.modbus.ascii_mode import AsciiClient

NO_REPLY_STATUSES = (TIMEOUT, INVALID_REPLY)
"""Statuses of transactions without a valid reply."""


class BusCounters:
    """The counters of one bus; `client` holds the counters of bytes and frames.

    Transactions:
        transactions      completed on the wire
        errors            of these, not "ok"
        exceptions        of these, with an exception
        port_closed       lost because the port closed (not in `transactions`)
        superseded        replaced by a newer write (not in `transactions`)
        rejected          refused: queue full or port closed
        skipped_polls     refused: poll of an offline unit
    Attempts:
        timeouts          without a reply
        invalid_replies   with an invalid reply
        busy_replies      with exception 5 or 6
        retries           repeated attempts
        premature         premature replies that the duplicate filter discarded
        probes            probes of offline units
    `stream_closes` counts TCP streams that the bus closed. `busy_us` is the time in which the wire
    was in use, `probe_us` the part of the probes, both in microseconds.
    """

    def __init__(self, client: "rtu.RtuClient | AsciiClient | tcp.TcpClient") -> None:
        self.client = client
        self.transactions = 0
        self.errors = 0
        self.timeouts = 0
        self.invalid_replies = 0
        self.exceptions = 0
        self.busy_replies = 0
        self.retries = 0
        self.port_closed = 0
        self.rejected = 0
        self.skipped_polls = 0
        self.superseded = 0
        self.premature = 0
        self.probes = 0
        self.stream_closes = 0
        self.busy_us = 0
        self.probe_us = 0
        self._load_since = 0
        self._load_busy = 0

    def count_result(self, status: str, is_probe: bool) -> None:
        """Count a completed transaction; a probe without a reply does not count."""
        if status == GOOD:
            self.transactions += 1
        elif not is_probe or status not in NO_REPLY_STATUSES:
            self.transactions += 1
            self.errors += 1
            self.exceptions += status == EXCEPTION

    def load_milli_pct(self, now: int) -> int:
        """Return the share of wire time in use since the last call, in 1/1000 percent."""
        elapsed_us, busy_us = now - self._load_since, self.busy_us - self._load_busy
        self._load_since, self._load_busy = now, self.busy_us
        return min(100_000, busy_us * 100_000 // elapsed_us) if elapsed_us > 0 else 0

    @property
    def discarded_bytes(self) -> int:
        """Bytes that did not belong to a frame."""
        return self.client.counters.discarded_bytes

    @property
    def other_unit_frames(self) -> int:
        """Valid frames of other units."""
        return self.client.counters.other_unit_frames

    @property
    def unsolicited(self) -> int:
        """Replies without a pending request, and duplicates."""
        return self.client.counters.unsolicited

    @property
    def crc_errors(self) -> int:
        """Replies with a wrong CRC."""
        return self.client.counters.crc_errors
