"""What a bus counts: of its jobs, of its attempts, of the bytes that came, of the wire's time.

Not a clockwork and not a judge: `drivers.modbus.bus` adds, others read. Counters only grow.
"""

from drivers.modbus.transaction import MISMATCH, TIMEOUT
from protocols.modbus.pdu import EXCEPTION, GOOD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.modbus import rtu, tcp

NO_ANSWERS = (TIMEOUT, MISMATCH)
"""Results of jobs that no reply answered."""


class Counters:
    """The counters of one bus; `client` holds those of the bytes.

    `transactions` are jobs that were decided on the wire, `errors` those of them that were not "ok"
    (lost and superseded jobs are in `lost` and `superseded` alone); `timeouts` and `mismatched` are
    attempts, `retries` further attempts, `refused` jobs that found the queue full or the port
    closed, `skipped` polls of dead units, `early` replies that were too early to be one, `closes`
    streams that were given up. `busy_us` is the time the wire was in use, `probe_us` that of
    probes.
    """

    def __init__(self, client: "rtu.Client | tcp.Client") -> None:
        self.client = client
        self.transactions = 0
        self.errors = 0
        self.timeouts = 0
        self.mismatched = 0
        self.exceptions = 0
        self.busy = 0
        self.retries = 0
        self.lost = 0
        self.refused = 0
        self.skipped = 0
        self.superseded = 0
        self.early = 0
        self.probes = 0
        self.closes = 0
        self.busy_us = 0
        self.probe_us = 0
        self._load_from = 0
        self._load_busy = 0

    def count(self, status: str, probe: bool) -> None:
        """A job has been decided; a probe that nobody answers is no failure of the bus."""
        if status == GOOD:
            self.transactions += 1
        elif not probe or status not in NO_ANSWERS:
            self.transactions += 1
            self.errors += 1
            self.exceptions += status == EXCEPTION

    def load_milli_pct(self, now: int) -> int:
        """The share of wire time in use since the last call, in thousandths of a percent."""
        spent, busy = now - self._load_from, self.busy_us - self._load_busy
        self._load_from, self._load_busy = now, self.busy_us
        return min(100_000, busy * 100_000 // spent) if spent > 0 else 0

    @property
    def dropped_bytes(self) -> int:
        """Bytes that were noise."""
        return self.client.dropped_bytes

    @property
    def foreign(self) -> int:
        """Intact frames of other units."""
        return self.client.foreign

    @property
    def late(self) -> int:
        """Replies nobody was waiting for any more, and duplicates."""
        return self.client.late

    @property
    def crc_errors(self) -> int:
        """Replies with a bad CRC."""
        return self.client.crc_errors
