"""The bus on a paced line: how much of the wire it uses, what dead units cost, how soon a stop goes.

All in virtual time; the figures are those of docs/modbus.md.
"""

from drivers.bus import STOP, Bus
from drivers.wire import Wire
from protocols.modbus import pdu
from protocols.timing import SECOND
from tests.portable.virtual_line import Slave, VirtualLine

COUNT = 20


def full_load(baud, units, seconds):
    """Every unit asked again as soon as it has answered; returns transactions in the time."""
    bus = Bus(4, "rtu", baud, 11)
    line = VirtualLine(bus, [Slave(unit) for unit in units], baud)
    done = [0]

    def ask(results, now):
        for result in results:
            assert result.status == "ok", result.status
            assert result.values == tuple(range(result.tag, result.tag + COUNT))
            done[0] += 1
            bus.submit(result.unit, pdu.read_holding(result.tag, COUNT), result.tag)

    for unit in units:
        for block in range(2 if len(units) == 1 else 1):
            bus.submit(unit, pdu.read_holding(100 * block, COUNT), 100 * block)
    line.run(seconds * SECOND, ask)
    return done[0]


def test_the_line_is_used_to_95_percent_and_more():
    for baud in (9600, 19200, 115200):
        wire = Wire(baud, 11, 5000)
        for units in ([7], [1, 2, 3, 4, 5]):
            possible = 10 * SECOND // wire.read_us(3, COUNT)
            made = full_load(baud, units, 10)
            assert made >= 0.95 * possible, (baud, units, made, possible)


class Poller:
    """Ten units polled once a second for two blocks, some of them dead."""

    def __init__(self, dead):
        self.bus = Bus(4, "rtu", 19200, 11, timeout_us=200_000)
        self.slaves = [Slave(unit) for unit in range(1, 11)]
        for slave in self.slaves[:dead]:
            slave.dead = True
        self.line = VirtualLine(self.bus, self.slaves, 19200)
        self.waiting = set()
        self.seen = {}
        self.worst = {}
        self.now = 0

    def collect(self, results, now):
        for result in results:
            self.waiting.discard(result.tag)
            if result.status == "ok":
                unit = result.unit
                last = self.seen.get(result.tag, now)
                self.worst[unit] = max(self.worst.get(unit, 0), now - last)
                self.seen[result.tag] = now

    def cycle(self):
        self.bus.idle_until = self.now + SECOND
        for slave in self.slaves:
            for block in (0, 1):
                tag = (slave.unit, block)
                if tag not in self.waiting:
                    if self.bus.submit(slave.unit, pdu.read_holding(50 * block, 20), tag):
                        self.waiting.add(tag)
        self.now += SECOND
        self.line.run(self.now, self.collect)


def test_dead_units_cost_little_and_come_back_soon():
    for dead in (1, 3, 5):
        poller = Poller(dead)
        for _ in range(60):
            poller.cycle()
        used, probed = poller.bus.busy_us, poller.bus.probe_us
        poller.worst.clear()
        for _ in range(60):
            poller.cycle()
        probed = poller.bus.probe_us - probed
        assert 0 < probed <= 0.05 * 60 * SECOND, (dead, probed)
        assert poller.bus.busy_us > used
        for unit in range(dead + 1, 11):
            assert poller.worst[unit] <= 1.05 * SECOND, (dead, unit, poller.worst)
        poller.slaves[0].dead = False
        back = poller.now
        poller.seen.pop((1, 0), None)
        while (1, 0) not in poller.seen:
            poller.cycle()
            assert poller.now - back <= 11 * SECOND, dead
        assert poller.seen[(1, 0)] - back <= 10 * SECOND, (dead, poller.seen[(1, 0)] - back)


def test_a_dead_unit_that_never_answers_gets_no_poll():
    poller = Poller(1)
    poller.line.first_bytes = []
    for _ in range(20):
        poller.cycle()
    health = poller.bus.health(1)
    assert health.dead and poller.bus.skipped > 20
    asked = len([1 for _, unit, _ in poller.line.first_bytes if unit == 1])
    assert asked < 14, asked


def stop_delay(baud, count, dead, when):
    """From the decision to the first byte of a stop, under full load of reads of `count`."""
    bus = Bus(4, "rtu", baud, 11, timeout_us=200_000)
    slaves = [Slave(unit) for unit in (1, 2, 3)]
    line = VirtualLine(bus, slaves, baud)

    def ask(results, now):
        for result in results:
            if result.tag != "stop":
                bus.submit(result.unit, pdu.read_holding(0, count), result.tag)

    for slave in slaves:
        for tag in range(4):
            bus.submit(slave.unit, pdu.read_holding(0, count), tag)
    line.run(3 * SECOND, ask)
    slaves[0].dead = dead
    line.run(3 * SECOND + when, ask)
    decided = line.now
    line.first_bytes = []
    bus.submit(2, pdu.write_single(0, 0), "stop", STOP)
    line.run(decided + SECOND, ask)
    return min([at for at, _, function in line.first_bytes if function == 6]) - decided


def test_a_stop_leaves_within_a_transaction_and_the_silence():
    for baud in (9600, 19200, 115200):
        wire = Wire(baud, 11, 5000)
        count = wire.cap(3, 90_000)
        worst = 0
        for dead in (False, True):
            for when in range(0, 300_000, 3_700):
                worst = max(worst, stop_delay(baud, count, dead, when))
        assert worst <= (100_000 if baud > 9600 else 110_000), (baud, count, worst)
        assert worst > 5_000  # it has waited for something
