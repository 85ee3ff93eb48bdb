"""The crank, turned by hand: ports that do as they are told, a clock that stands still."""

from agent.runtime.io_loop import Crank
from agent.runtime.monotonic import Ticks
from agent.runtime.port_log import BURST, REFILL, REPEAT, Journal
from drivers.errors import FullError, PortError
from drivers.ports.base import BACKLOG, CONNECT_TIMEOUT
from tests.portable.support.check import eq, raises

NEVER = 1 << 62


class World:
    """The clock, the poller, the agent and the openers in one: everything around the crank."""

    def __init__(self):
        self.now = 1000
        self.seen = []
        self.moments = []
        self.asked = []
        self.due = NEVER
        self.ports = {}
        self.watched = {}
        self.lines = []
        self.ready = []
        self.answers = {}
        self.crank = Crank(Agent(self), {"tcp": self.open_port}, self, self.lines.append, 9)

    # what a poller has
    def clock(self):
        return self.now

    def wait(self, deadline):
        self.now = max(self.now, min(deadline, self.now + 1_000_000))
        ready, self.ready = self.ready, []
        return ready

    def wake(self):
        self.seen.append("woken")

    def watch(self, number, pollable, write):
        assert number not in self.watched
        self.watched[number] = write

    def forget(self, number):
        del self.watched[number]

    # what an agent has
    def receive(self, port, data, now):
        self.seen.append((port, data))
        self.asked += self.answers.pop((port, data), [])

    def event(self, port, kind, now):
        self.seen.append((port, kind))
        self.moments.append(now)
        self.asked += self.answers.pop((port, kind), [])

    def wake_agent(self, now):
        self.seen.append("wake")
        self.due = NEVER

    def deadline(self):
        return self.due

    def outbox(self):
        asked, self.asked = self.asked, []
        return asked

    # what opens
    def open_port(self, address, wake):
        port = Port(address.port)
        self.ports[address.port] = port
        return port

    def take(self):
        seen, self.seen = self.seen, []
        return seen

    def opened(self, *numbers):
        """Open ports whose address carries their number plus one, and hear of it."""
        for number in numbers:
            self.asked.append((number, "open", b"tcp:h:%d" % (number + 1)))
        self.crank.start()
        self.crank.turn([])
        self.take()


class Agent:
    """The world as the agent sees it (`wake` means something else to a poller)."""

    def __init__(self, world):
        self.receive = world.receive
        self.event = world.event
        self.wake = world.wake_agent
        self.deadline = world.deadline
        self.outbox = world.outbox


class Port:
    """A port that gives what is laid in `incoming` and takes `room` bytes."""

    def __init__(self, number):
        self.pollable = 100 + number
        self.wants_write = False
        self.age_us = 0
        self.incoming = []
        self.written = b""
        self.room = 1 << 30
        self.ready = True
        self.durable = True
        self.error = None
        self.closed = False

    def _maybe(self):
        if self.error is not None:
            raise PortError(self.error)

    def finish(self):
        self._maybe()
        return self.ready

    def read(self):
        self._maybe()
        return self.incoming.pop(0) if self.incoming else b""

    def write(self, data):
        self._maybe()
        count = min(len(data), self.room)
        self.written += data[:count]
        self.room -= count
        return count

    def settled(self):
        self._maybe()
        return self.durable

    def set(self, text):
        raise PortError("cannot set " + text)

    def close(self):
        self.closed = True


def test_opened_comes_in_the_turn_after():
    w = World()
    w.asked = [(0, "open", b"tcp:h:1")]
    w.crank.start()
    eq(w.take(), [])
    eq(w.crank.deadline(), 0)
    w.crank.turn([])
    eq(w.take(), [(0, "opened")])
    eq(w.crank.deadline(), NEVER)
    eq(w.watched, {0: False})


def test_ports_come_in_order_then_wake():
    w = World()
    w.opened(5, 2, 0)
    for number in (5, 2, 0):
        w.ports[number + 1].incoming = [b"a", b"b"]
    w.due = w.now
    w.crank.turn([5, 0, 2])
    want = []
    for number in (0, 2, 5):
        want += [(number, b"a"), (number, b"b")]
    eq(w.take(), want + ["wake"])


def test_a_flood_leaves_others_their_turn():
    w = World()
    w.opened(0, 1)
    w.ports[1].incoming = [b"x"] * 100
    w.ports[2].incoming = [b"y"]
    w.crank.turn([0, 1])
    eq(w.take().count((0, b"x")), 16)
    eq(w.crank.deadline(), 0)
    w.crank.turn([])
    eq(w.take(), [(0, b"x")] * 16)


def test_every_call_is_followed_by_its_outbox():
    w = World()
    w.opened(0)
    w.answers[(0, b"a")] = [(0, "write", b"A")]
    w.ports[1].incoming = [b"a"]
    w.crank.turn([0])
    eq(w.ports[1].written, b"A")


def test_closed_by_the_other_side():
    w = World()
    w.opened(0)
    w.ports[1].incoming = [b"last", None]
    w.crank.turn([0])
    eq(w.take(), [(0, b"last")])
    w.crank.turn([])
    eq(w.take(), [(0, "closed")])
    eq((w.ports[1].closed, w.watched), (True, {}))
    eq(w.lines[-1], "port 0: closed by the other side: tcp:h:1")


def test_failure_while_reading_and_writing():
    w = World()
    w.opened(0, 1)
    w.ports[1].error = "broke"
    w.crank.turn([0])
    w.ports[2].error = "broke too"
    w.asked = [(1, "write", b"x")]
    w.crank.start()
    w.crank.turn([])
    eq(w.take(), [(0, "failed"), (1, "failed")])
    eq(w.lines[-2:], ["port 0: failed: broke", "port 1: failed: broke too"])


def test_an_agent_that_reopens_at_once_does_not_hold_the_loop():
    w = World()
    w.asked = [(0, "open", b"tcp:h:zero")]
    w.crank.start()
    for _ in range(5):
        w.answers[(0, "failed")] = [(0, "open", b"tcp:h:zero")]
        w.crank.turn([])
        eq(w.take(), [(0, "failed")])
    eq(len(w.lines), 1)


def test_partial_write_waits_then_drains():
    w = World()
    w.opened(0)
    port = w.ports[1]
    port.room = 3
    w.asked = [(0, "write", b"abcde"), (0, "write", b"fgh")]
    w.crank.start()
    eq((port.written, w.watched), (b"abc", {0: True}))
    port.room = 4
    w.crank.turn([0])
    eq((port.written, w.take()), (b"abcdefg", []))
    port.room = 100
    w.crank.turn([0])
    eq((port.written, w.take()), (b"abcdefgh", [(0, "drained")]))
    eq(w.watched, {0: False})


def test_a_write_that_is_taken_at_once_is_not_reported():
    w = World()
    w.opened(0)
    w.asked = [(0, "write", b"abc")]
    w.crank.start()
    w.crank.turn([])
    eq(w.take(), [])


def test_backlog_is_bounded():
    w = World()
    w.opened(0)
    port = w.ports[1]
    port.room = 0
    w.asked = [(0, "write", b"x" * BACKLOG)]
    w.crank.start()
    w.crank.turn([])
    eq((w.take(), port.closed), ([], False))
    w.asked = [(0, "write", b"y")]
    w.crank.start()
    w.crank.turn([])
    eq((w.take(), port.closed), ([(0, "failed")], True))
    assert "takes no data" in w.lines[-1]


def test_a_store_drains_when_it_is_durable():
    w = World()
    w.opened(0)
    port = w.ports[1]
    port.durable = False
    w.asked = [(0, "write", b"key\0value")]
    w.crank.start()
    w.crank.turn([])
    eq(w.take(), [])
    port.durable = True
    w.crank.turn([])
    eq(w.take(), [(0, "drained")])
    w.crank.turn([])
    eq(w.take(), [])


def test_a_port_that_knows_says_when_the_bytes_came():
    w = World()
    heard = []
    agent = Agent(w)
    agent.receive = lambda _number, _data, now: heard.append(now)
    w.crank = Crank(agent, {"tcp": w.open_port}, w, w.lines.append)
    w.watched = {}
    w.opened(0)
    port = w.ports[1]
    w.now = 1_000_000
    port.incoming = [b"a"]
    w.crank.turn([0])
    w.due, w.now = 1_040_000, 1_050_000
    w.crank.turn([])  # a tick, at 1.05 s
    w.now = 1_200_000
    port.incoming, port.age_us = [b"b"], 30_000
    w.crank.turn([0])
    port.incoming, port.age_us = [b"c"], 190_000  # before what the agent was told: time stays
    w.crank.turn([0])
    eq(heard, [1_000_000, 1_170_000, 1_170_000])


def test_opening_in_steps():
    w = World()
    w.opened(0)
    w.asked = [(0, "open", b"tcp:h:7"), (0, "write", b"too early")]
    made = w.open_port

    def slow(address, wake):
        port = made(address, wake)
        port.ready = False
        port.wants_write = True
        return port

    w.crank = Crank(Agent(w), {"tcp": slow}, w, w.lines.append)
    w.watched = {}
    w.crank.start()
    eq(w.watched, {0: True})
    w.crank.turn([0])
    eq(w.take(), [])
    w.ports[7].ready = True
    w.ports[7].wants_write = False
    w.crank.turn([0])
    w.crank.turn([])
    eq(w.take(), [(0, "opened")])
    eq(w.ports[7].written, b"")


def test_an_opening_that_never_ends_is_given_up():
    w = World()
    w.asked = [(0, "open", b"tcp:h:1")]
    made = w.open_port

    def silent(address, wake):
        port = made(address, wake)
        port.ready = False
        return port

    w.crank = Crank(Agent(w), {"tcp": silent}, w, w.lines.append)
    w.crank.start()
    eq(w.crank.deadline(), w.now + CONNECT_TIMEOUT)
    w.now += CONNECT_TIMEOUT - 1
    w.crank.turn([])
    eq(w.take(), [])
    w.now += 1
    w.crank.turn([])
    w.crank.turn([])
    eq(w.take(), [(0, "failed")])
    assert "tcp:h:1: no answer for 10 s" in w.lines[-1]
    assert w.ports[1].closed


def test_close_has_no_event_and_stops_the_reading():
    w = World()
    w.opened(0)
    w.ports[1].incoming = [b"a", b"b"]
    w.answers[(0, b"a")] = [(0, "close", b"")]
    w.crank.turn([0])
    w.crank.turn([])
    eq(w.take(), [(0, b"a")])
    eq((w.ports[1].closed, w.watched), (True, {}))


def test_reopening_closes_first_and_reads_nothing_before_opened():
    w = World()
    w.opened(0)
    old = w.ports[1]
    old.incoming = [b"a", b"b"]
    w.answers[(0, b"a")] = [(0, "open", b"tcp:h:8")]
    w.crank.turn([0])
    eq((w.take(), old.closed), ([(0, b"a")], True))
    w.ports[8].incoming = [b"new"]
    w.crank.turn([0])
    eq(w.take(), [(0, "opened"), (0, b"new")])


def test_operations_on_a_closed_port_do_nothing():
    w = World()
    w.asked = [(0, "write", b"x"), (0, "set", b"baud=1"), (0, "close", b"")]
    w.crank.start()
    w.crank.turn([0])
    eq((w.take(), w.lines), ([], []))


def test_bad_requests_fail_the_port():
    for op, data, part in (
        ("open", b"tcp:h", "not HOST:PORT"),
        ("open", b"store:/x", "no ports of the kind store"),
        ("set", b"baud=1", "cannot set baud=1"),
    ):
        w = World()
        w.opened(0)
        w.asked = [(0, op, data)]
        w.crank.start()
        w.crank.turn([])
        eq(w.take(), [(0, "failed")])
        assert part in w.lines[-1], w.lines


def test_ports_are_counted():
    w = World()
    w.asked = [(number, "close", b"") for number in range(100, 165)]
    raises(ValueError, w.crank.start)


def test_console_lines_are_printed():
    w = World()
    w.asked = [(9, "write", b"pump lost"), (9, "write", b"\xff")]
    w.crank.start()
    eq(w.lines[0], "pump lost")
    eq(len(w.lines), 2)


def test_run_pushes_the_last_words_and_closes():
    w = World()
    w.asked = [(0, "open", b"tcp:h:1")]
    turns = []

    def until():
        turns.append(1)
        if len(turns) == 2:
            w.ports[1].room = 2
        if len(turns) < 4:
            return False
        w.asked = [(0, "write", b"bye")]
        return True

    old_wait = w.wait

    def wait(deadline):
        if len(turns) >= 4:
            w.ports[1].room += 1
        return old_wait(deadline)

    w.wait = wait
    eq(w.crank.run(until), False)
    eq((w.ports[1].written, w.ports[1].closed), (b"bye", True))


def test_run_gives_up_on_what_nobody_takes():
    w = World()
    w.asked = [(0, "open", b"tcp:h:1")]

    def until():
        if w.now < 300000:
            w.ports[1].room = 0
            return False
        w.asked = [(0, "write", b"bye")]
        return True

    w.due = 100000
    begun = w.now
    w.crank.run(until)
    assert w.ports[1].closed
    assert w.now - begun < 5_000_000


def test_ctrl_c_ends_the_run():
    w = World()
    w.asked = [(0, "open", b"tcp:h:1")]

    def until():
        if w.now > 1_000_000:
            raise KeyboardInterrupt
        return False

    eq(w.crank.run(until), True)
    assert w.ports[1].closed


def test_journal_repeats_rarely():
    lines = []
    journal = Journal(3, lines.append)
    for second in range(1000):
        journal.say("failed: no such port", second * 1_000_000)
    eq(lines[0], "port 3: failed: no such port")
    eq(lines[1], "port 3: failed: no such port (600 times more)")
    eq(len(lines), 2)
    eq(REPEAT, 600_000_000)


def test_journal_does_not_flood():
    lines = []
    journal = Journal(0, lines.append)
    for count in range(1000):
        journal.say("opened %d" % count, 5)
    eq(len(lines), BURST)
    journal.say("closed", 5 + REFILL)
    eq(lines[-1], "port 0: closed (%d lines left out)" % (1000 - BURST))


def test_ticks_unwrap():
    """A counter of eight bits, as ticks_us is one of thirty."""
    counter = [250]
    clock = Ticks(lambda: counter[0], lambda a, b: ((a - b + 128) & 255) - 128)
    total = clock.now()
    eq(total, 250)
    for step in (3, 10, 100, 100, 127, 0, 50):
        counter[0] = (counter[0] + step) & 255
        total += step
        eq(clock.now(), total)


def test_ticks_never_go_back():
    counter = [100]
    clock = Ticks(lambda: counter[0], lambda a, b: a - b)
    counter[0] = 90
    eq(clock.now(), 100)
    counter[0] = 101
    eq(clock.now(), 101)


def test_a_pulse_goes_before_bytes_that_are_there_already_and_keeps_its_own_time():
    w = World()
    w.crank = Crank(Agent(w), {"tcp": w.open_port, "pps": w.open_port}, w, w.lines.append, 9)
    w.asked = [(0, "open", b"tcp:h:1"), (5, "open", b"pps:/dev/pps0")]
    w.crank.start()
    w.crank.turn([])
    eq(w.take(), [(0, "opened"), (5, "opened")])
    w.ports[1].incoming = [b"sentence"]
    w.ports[0].incoming = [(777).to_bytes(8, "big")]  # an address without a port has number 0
    w.crank.turn([0])
    eq(w.take(), [(5, "pulse"), (0, b"sentence")])
    eq(w.moments[-1], 777)
    w.ports[0].incoming = [None]
    w.crank.turn([5])
    w.crank.turn([])
    eq(w.take(), [(5, "closed")])


def test_a_store_without_room_says_so_before_it_fails():
    world = World()
    world.opened(0)

    def full(data):
        raise FullError("disk full")

    world.ports[1].write = full
    world.asked.append((0, "write", b"x"))
    world.crank.start()
    world.crank.turn([])
    world.crank.turn([])
    eq(world.take(), [(0, "full"), (0, "failed")])


def test_only_a_store_is_asked():
    world = World()
    world.opened(0)
    heard = []

    def ask(op, data):
        heard.append((op, data))
        if op == "list":
            raise PortError("is no store")

    world.ports[1].ask = ask
    world.asked.extend([(0, "get", b"a"), (0, "list", b"")])
    world.crank.start()
    world.crank.turn([])
    eq((heard, world.take()), ([("get", b"a"), ("list", b"")], [(0, "failed")]))
