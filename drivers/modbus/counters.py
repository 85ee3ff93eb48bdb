"""What a bus counts: of its jobs, of its attempts, of the bytes that came, of the wire's time.

Not a clockwork and not a judge: `drivers.modbus.bus` adds, others read. Counters only grow.
"""

from drivers.modbus.transaction import INVALID_REPLY, TIMEOUT
from protocols.modbus.pdu import EXCEPTION, GOOD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.modbus import rtu, tcp

NO_REPLY_STATUSES = (TIMEOUT, INVALID_REPLY)
"""Results of jobs that no reply answered."""


class BusCounters:
    """The counters of one bus; `client` holds those of the bytes.

    `transactions` are jobs that were decided on the wire, `errors` those of them that were not "ok"
    (lost and superseded jobs are in `port_closed` and `superseded` alone); `timeouts` and
    `invalid_replies` are attempts, `retries` further attempts, `rejected` jobs that found the queue
    full or the port closed, `skipped_polls` polls of dead units, `premature` replies that were too
    early to be one, `stream_closes` streams that were given up. `busy_us` is the time the wire was
    in use, `probe_us` that of probes.
    """

    def __init__(self, client: "rtu.RtuClient | tcp.TcpClient") -> None:
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
        """A job has been decided; a probe that nobody answers is no failure of the bus."""
        if status == GOOD:
            self.transactions += 1
        elif not is_probe or status not in NO_REPLY_STATUSES:
            self.transactions += 1
            self.errors += 1
            self.exceptions += status == EXCEPTION

    def load_milli_pct(self, now: int) -> int:
        """The share of wire time in use since the last call, in thousandths of a percent."""
        elapsed_us, busy_us = now - self._load_since, self.busy_us - self._load_busy
        self._load_since, self._load_busy = now, self.busy_us
        return min(100_000, busy_us * 100_000 // elapsed_us) if elapsed_us > 0 else 0

    @property
    def discarded_bytes(self) -> int:
        """Bytes that were noise."""
        return self.client.discarded_bytes

    @property
    def other_unit_frames(self) -> int:
        """Intact frames of other units."""
        return self.client.other_unit_frames

    @property
    def unsolicited(self) -> int:
        """Replies nobody was waiting for any more, and duplicates."""
        return self.client.unsolicited

    @property
    def crc_errors(self) -> int:
        """Replies with a bad CRC."""
        return self.client.crc_errors
