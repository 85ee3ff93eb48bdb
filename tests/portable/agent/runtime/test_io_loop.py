# SPDX-License-Identifier: Apache-2.0
"""The I/O loop, stepped manually, with fake ports and a clock that the test sets."""

from agent.runtime.io_loop import GO, NO_MEMORY, TICK_DUE, IoLoop
from agent.runtime.port_slot import PortSlot
from drivers.errors import AddressError, FullError, PortError
from drivers.ports.base import CONNECT_TIMEOUT, MAX_BACKLOG
from tests.portable.agent.runtime.loop_rig import NEVER, FakeAgent, FakePlatform
from tests.portable.support.check import eq, raises


def test_opened_event_comes_in_the_next_step():
    w = FakePlatform()
    w.requests = [(0, "open", b"tcp:h:1")]
    w.io_loop.start()
    eq(w.take_calls(), [])
    eq(w.io_loop.deadline(), 0)
    w.io_loop.step([])
    eq(w.take_calls(), [(0, "opened")])
    eq(w.io_loop.deadline(), NEVER)
    eq(w.watched, {0: False})


def test_ports_come_in_order_then_wake():
    w = FakePlatform()
    w.open_ports(5, 2, 0)
    for number in (5, 2, 0):
        w.ports[number + 1].incoming = [b"a", b"b"]
    w.due = w.now
    w.io_loop.step([5, 0, 2])
    expected = []
    for number in (0, 2, 5):
        expected += [(number, b"a"), (number, b"b")]
    eq(w.take_calls(), expected + ["wake"])


def test_ports_open_in_turn_and_a_tick_comes_between():
    """The last port first: a field bus is open before the receiver and the broker."""
    w = FakePlatform()
    w.io_loop.opens_in_turn = True
    w.requests = [(2, "open", b"tcp:h:3"), (0, "open", b"tcp:h:1"), (1, "open", b"nothing")]
    w.io_loop.start()
    eq((list(w.ports), w.io_loop.deadline()), ([], 0))
    w.due = w.now
    w.io_loop.step([])
    eq((list(w.ports), w.take_calls()), ([3], [(2, "opened"), "wake"]))
    w.requests = [(0, "close", b"")]
    for _ in range(3):
        w.io_loop.step([])
    eq(w.take_calls(), [(1, "failed")])
    w.requests = [(2, "open", b"tcp:h:5")]
    w.io_loop.start()
    assert w.ports[3].closed
    for _ in range(2):
        w.io_loop.step([])
    eq(sorted(w.ports), [3, 5])


def test_a_port_opens_when_there_is_time_before_the_tick():
    w = FakePlatform()
    has_time = [False]
    w.io_loop.opens_in_turn, w.io_loop.has_time = True, lambda: has_time[0]
    w.requests = [(0, "open", b"tcp:h:1")]
    w.io_loop.start()
    w.io_loop.step([])
    eq((list(w.ports), w.io_loop.deadline()), ([], 0))
    has_time[0] = True
    w.io_loop.step([])
    eq(list(w.ports), [1])


def slow_read(w, port):
    read = port.read

    def slow():
        w.now += 12_000 if port.incoming else 0
        return read()

    return slow


def test_a_due_tick_comes_before_the_next_port():
    """Each port takes 12 ms of a board. No port is forgotten."""
    w = FakePlatform()
    w.open_ports(0, 1, 2)
    w.io_loop.work_limit = lambda: TICK_DUE if w.due <= w.now else GO
    for number in (1, 2, 3):
        w.ports[number].incoming = [b"x"]
        w.ports[number].read = slow_read(w, w.ports[number])
    w.due = w.now + 5_000
    w.io_loop.step([0, 1, 2])
    eq(w.take_calls(), [(0, b"x"), "wake"])
    w.io_loop.step([1, 2])
    eq(w.take_calls(), [(1, b"x"), (2, b"x")])


def test_without_memory_nothing_is_done_before_a_collection():
    w = FakePlatform()
    w.open_ports(0, 1)
    limits = [GO, NO_MEMORY, NO_MEMORY, GO, GO]
    w.io_loop.work_limit = lambda: limits.pop(0)
    w.ports[1].incoming, w.ports[2].incoming = [b"x"], [b"y"]
    w.due = w.now
    w.io_loop.step([0, 1])
    eq(w.take_calls(), [(0, b"x")])
    w.io_loop.step([1])
    eq(w.take_calls(), [(1, b"y"), "wake"])


def test_flooded_port_does_not_block_others():
    w = FakePlatform()
    w.open_ports(0, 1)
    w.ports[1].incoming = [b"x"] * 100
    w.ports[2].incoming = [b"y"]
    w.io_loop.step([0, 1])
    eq(w.take_calls().count((0, b"x")), 16)
    eq(w.io_loop.deadline(), 0)
    w.io_loop.step([])
    eq(w.take_calls(), [(0, b"x")] * 16)


def test_every_call_is_followed_by_its_outbox():
    w = FakePlatform()
    w.open_ports(0)
    w.answers[(0, b"a")] = [(0, "write", b"A")]
    w.ports[1].incoming = [b"a"]
    w.io_loop.step([0])
    eq(w.ports[1].written, b"A")


def test_closed_by_the_peer():
    w = FakePlatform()
    w.open_ports(0)
    w.ports[1].incoming = [b"last", None]
    w.io_loop.step([0])
    eq(w.take_calls(), [(0, b"last")])
    w.io_loop.step([])
    eq(w.take_calls(), [(0, "closed")])
    eq((w.ports[1].closed, w.watched), (True, {}))
    eq(w.lines[-1], "port 0: closed by the peer: tcp:h:1")


def test_a_short_read_of_a_port_that_reads_all_is_the_last():
    for read_empties_input, left in ((True, [b"b"]), (False, [])):
        w = FakePlatform()
        w.open_ports(0)
        w.ports[1].read_empties_input = read_empties_input
        w.ports[1].incoming = [b"a", b"b"]
        w.io_loop.step([0])
        eq((read_empties_input, w.ports[1].incoming), (read_empties_input, left))


def test_failure_while_reading_and_writing():
    w = FakePlatform()
    w.open_ports(0, 1)
    w.ports[1].error = "broke"
    w.io_loop.step([0])
    w.ports[2].error = "broke too"
    w.requests = [(1, "write", b"x")]
    w.io_loop.start()
    w.io_loop.step([])
    eq(w.take_calls(), [(0, "failed"), (1, "failed")])
    eq(w.lines[-2:], ["port 0: failed: broke", "port 1: failed: broke too"])


def test_immediate_reopen_does_not_block_the_loop():
    w = FakePlatform()
    w.requests = [(0, "open", b"tcp:h:zero")]
    w.io_loop.start()
    for _ in range(5):
        w.answers[(0, "failed")] = [(0, "open", b"tcp:h:zero")]
        w.io_loop.step([])
        eq(w.take_calls(), [(0, "failed")])
    eq(len(w.lines), 1)


def test_partial_write_waits_then_drains():
    w = FakePlatform()
    w.open_ports(0)
    port = w.ports[1]
    port.room = 3
    w.requests = [(0, "write", b"abcde"), (0, "write", b"fgh")]
    w.io_loop.start()
    eq((port.written, w.watched), (b"abc", {0: True}))
    port.room = 4
    w.io_loop.step([0])
    eq((port.written, w.take_calls()), (b"abcdefg", []))
    port.room = 100
    w.io_loop.step([0])
    eq((port.written, w.take_calls()), (b"abcdefgh", [(0, "drained")]))
    eq(w.watched, {0: False})


def test_complete_write_has_no_drained_event():
    w = FakePlatform()
    w.open_ports(0)
    w.requests = [(0, "write", b"abc")]
    w.io_loop.start()
    w.io_loop.step([])
    eq(w.take_calls(), [])


def test_backlog_is_bounded():
    w = FakePlatform()
    w.open_ports(0)
    port = w.ports[1]
    port.room = 0
    w.requests = [(0, "write", b"x" * MAX_BACKLOG)]
    w.io_loop.start()
    w.io_loop.step([])
    eq((w.take_calls(), port.closed), ([], False))
    w.requests = [(0, "write", b"y")]
    w.io_loop.start()
    w.io_loop.step([])
    eq((w.take_calls(), port.closed), ([(0, "failed")], True))
    assert "accepts no data" in w.lines[-1]


def test_waiting_data_is_kept_as_it_was_given():
    """A board has memory, but not in one piece: waiting packets are not joined or copied."""
    w = FakePlatform()
    w.open_ports(0)
    port = w.ports[1]
    port.max_write, port.room = 4, 2
    write, sizes = port.write, []

    def note(data):
        sizes.append(len(data))
        return write(data)

    packets = [b"abcdefghij", b"klm", b"nopq"]
    w.requests = [(0, "write", packet) for packet in packets]
    w.io_loop.start()
    slot = w.io_loop._slots[0]
    eq([slot.backlog[i] is packets[i] for i in range(3)], [True] * 3)
    port.write = note
    while slot.backlog:
        port.room = 3
        w.io_loop.step([0])
    eq((port.written, max(sizes)), (b"abcdefghijklmnopq", 4))
    eq(w.take_calls(), [(0, "drained")])


def test_a_store_drains_when_it_is_durable():
    w = FakePlatform()
    w.open_ports(0)
    port = w.ports[1]
    port.durable = False
    w.requests = [(0, "write", b"key\0value")]
    w.io_loop.start()
    w.io_loop.step([])
    eq(w.take_calls(), [])
    port.durable = True
    w.io_loop.step([])
    eq(w.take_calls(), [(0, "drained")])
    w.io_loop.step([])
    eq(w.take_calls(), [])


def test_arrival_time_uses_port_age():
    w = FakePlatform()
    times = []
    agent = FakeAgent(w)
    agent.receive = lambda _number, _data, now: times.append(now)
    w.io_loop = IoLoop(agent, {"tcp": w.open_port}, w, w.lines.append)
    w.watched = {}
    w.open_ports(0)
    port = w.ports[1]
    w.now = 1_000_000
    port.incoming = [b"a"]
    w.io_loop.step([0])
    w.due, w.now = 1_040_000, 1_050_000
    w.io_loop.step([])  # a tick, at 1.05 s
    w.now = 1_200_000
    port.incoming, port.age_us = [b"b"], 30_000
    w.io_loop.step([0])
    # before the last time of the agent: the time stays
    port.incoming, port.age_us = [b"c"], 190_000
    w.io_loop.step([0])
    eq(times, [1_000_000, 1_170_000, 1_170_000])


def test_opening_in_steps():
    w = FakePlatform()
    w.open_ports(0)
    w.requests = [(0, "open", b"tcp:h:7"), (0, "write", b"too early")]
    made = w.open_port

    def slow(address, wake):
        port = made(address, wake)
        port.ready = False
        port.wants_write = True
        return port

    w.io_loop = IoLoop(FakeAgent(w), {"tcp": slow}, w, w.lines.append)
    w.watched = {}
    w.io_loop.start()
    eq(w.watched, {0: True})
    w.io_loop.step([0])
    eq(w.take_calls(), [])
    w.ports[7].ready = True
    w.ports[7].wants_write = False
    w.io_loop.step([0])
    w.io_loop.step([])
    eq(w.take_calls(), [(0, "opened")])
    eq(w.ports[7].written, b"")


def test_unfinished_open_times_out():
    w = FakePlatform()
    w.requests = [(0, "open", b"tcp:h:1")]
    made = w.open_port

    def silent(address, wake):
        port = made(address, wake)
        port.ready = False
        return port

    w.io_loop = IoLoop(FakeAgent(w), {"tcp": silent}, w, w.lines.append)
    w.io_loop.start()
    eq(w.io_loop.deadline(), w.now + CONNECT_TIMEOUT)
    w.now += CONNECT_TIMEOUT - 1
    w.io_loop.step([])
    eq(w.take_calls(), [])
    w.now += 1
    w.io_loop.step([])
    w.io_loop.step([])
    eq(w.take_calls(), [(0, "failed")])
    assert "tcp:h:1: no reply for 10 s" in w.lines[-1]
    assert w.ports[1].closed


def test_close_has_no_event_and_stops_the_reading():
    w = FakePlatform()
    w.open_ports(0)
    w.ports[1].incoming = [b"a", b"b"]
    w.answers[(0, b"a")] = [(0, "close", b"")]
    w.io_loop.step([0])
    w.io_loop.step([])
    eq(w.take_calls(), [(0, b"a")])
    eq((w.ports[1].closed, w.watched), (True, {}))


def test_reopening_closes_first_and_reads_nothing_before_opened():
    w = FakePlatform()
    w.open_ports(0)
    old = w.ports[1]
    old.incoming = [b"a", b"b"]
    w.answers[(0, b"a")] = [(0, "open", b"tcp:h:8")]
    w.io_loop.step([0])
    eq((w.take_calls(), old.closed), ([(0, b"a")], True))
    w.ports[8].incoming = [b"new"]
    w.io_loop.step([0])
    eq(w.take_calls(), [(0, "opened"), (0, b"new")])


def test_operations_on_a_closed_port_do_nothing():
    w = FakePlatform()
    w.requests = [(0, "write", b"x"), (0, "set", b"baud=1"), (0, "close", b"")]
    w.io_loop.start()
    w.io_loop.step([0])
    eq((w.take_calls(), w.lines), ([], []))


def test_bad_requests_fail_the_port():
    for op, data, text in (
        ("open", b"tcp:h", "not HOST:PORT"),
        ("open", b"store:/x", "no ports of the kind store"),
        ("set", b"baud=1", "cannot set baud=1"),
    ):
        w = FakePlatform()
        w.open_ports(0)
        w.requests = [(0, op, data)]
        w.io_loop.start()
        w.io_loop.step([])
        eq(w.take_calls(), [(0, "failed")])
        assert text in w.lines[-1], w.lines


def test_number_of_ports_is_bounded():
    w = FakePlatform()
    w.requests = [(number, "close", b"") for number in range(100, 165)]
    raises(ValueError, w.io_loop.start)


def test_console_lines_are_printed():
    w = FakePlatform()
    w.requests = [(9, "write", b"pump lost"), (9, "write", b"\xff")]
    w.io_loop.start()
    eq(w.lines[0], "pump lost")
    eq(len(w.lines), 2)


def test_run_flushes_last_writes_and_closes():
    w = FakePlatform()
    w.requests = [(0, "open", b"tcp:h:1")]
    turns = []

    def until():
        turns.append(1)
        if len(turns) == 2:
            w.ports[1].room = 2
        if len(turns) < 4:
            return False
        w.requests = [(0, "write", b"bye")]
        return True

    old_wait = w.wait

    def wait(deadline):
        if len(turns) >= 4:
            w.ports[1].room += 1
        return old_wait(deadline)

    w.wait = wait
    eq(w.io_loop.run(until), False)
    eq((w.ports[1].written, w.ports[1].closed), (b"bye", True))


def test_run_ends_when_the_lines_have_sent():
    """A board resets after it: the rest of a packet in the buffer of a UART would be lost."""
    w = FakePlatform()
    w.open_ports(1)
    port, waits = w.ports[2], []

    def wait(deadline):
        assert not port.closed
        waits.append(deadline)
        if len(waits) == 3:
            port.unsent = b""
        return []

    def until():
        port.unsent = b"the rest"
        w.io_loop._poller.wait = wait
        return True

    eq((w.io_loop.run(until), len(waits), port.closed), (False, 3, True))


def test_run_stops_flushing_after_a_time():
    w = FakePlatform()
    w.requests = [(0, "open", b"tcp:h:1")]

    def until():
        if w.now < 300000:
            w.ports[1].room = 0
            return False
        w.requests = [(0, "write", b"bye")]
        return True

    w.due = 100000
    start = w.now
    w.io_loop.run(until)
    assert w.ports[1].closed
    assert w.now - start < 5_000_000


def test_ctrl_c_ends_the_run():
    w = FakePlatform()
    w.requests = [(0, "open", b"tcp:h:1")]

    def until():
        if w.now > 1_000_000:
            raise KeyboardInterrupt
        return False

    eq(w.io_loop.run(until), True)
    assert w.ports[1].closed


def test_pulse_precedes_bytes_and_keeps_its_time():
    w = FakePlatform()
    w.io_loop = IoLoop(FakeAgent(w), {"tcp": w.open_port, "pps": w.open_port}, w, w.lines.append, 9)
    w.requests = [(0, "open", b"tcp:h:1"), (5, "open", b"pps:/dev/pps0")]
    w.io_loop.start()
    w.io_loop.step([])
    eq(w.take_calls(), [(0, "opened"), (5, "opened")])
    w.ports[1].incoming = [b"sentence"]
    w.ports[0].incoming = [(777).to_bytes(8, "big")]  # an address without a port has number 0
    w.io_loop.step([0])
    eq(w.take_calls(), [(5, "pulse"), (0, b"sentence")])
    eq(w.event_times[-1], 777)
    w.ports[0].incoming = [None]
    w.io_loop.step([5])
    w.io_loop.step([])
    eq(w.take_calls(), [(5, "closed")])


def test_full_store_sends_full_before_failed():
    world = FakePlatform()
    world.open_ports(0)

    def full(data):
        raise FullError("disk full")

    world.ports[1].write = full
    world.requests.append((0, "write", b"x"))
    world.io_loop.start()
    world.io_loop.step([])
    world.io_loop.step([])
    eq(world.take_calls(), [(0, "full"), (0, "failed")])


def test_store_requests_fail_on_other_ports():
    world = FakePlatform()
    world.open_ports(0)
    requests = []

    def ask(op, data):
        requests.append((op, data))
        if op == "list":
            raise PortError("is no store")

    world.ports[1].request = ask
    world.requests.extend([(0, "get", b"a"), (0, "list", b"")])
    world.io_loop.start()
    world.io_loop.step([])
    eq((requests, world.take_calls()), ([("get", b"a"), ("list", b"")], [(0, "failed")]))


def test_a_port_that_opens_again_keeps_its_parsed_address():
    slot = PortSlot(1, print)

    def take(text):
        slot.requested = text
        return slot.take_request()

    first = take(b"tcp:h:1")
    assert take(b"tcp:h:1") is first
    for _ in range(2):
        raises(AddressError, lambda: take(b"tcp:h"))
    eq((take(b"tcp:h:2").port, slot.address, slot.requested), (2, "tcp:h:2", b""))
