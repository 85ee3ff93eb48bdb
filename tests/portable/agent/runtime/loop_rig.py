# SPDX-License-Identifier: Apache-2.0
"""A platform, an agent and ports for the tests of the I/O loop."""

from agent.runtime.io_loop import IoLoop
from drivers.errors import PortError

NEVER = 1 << 62


class FakePlatform:
    """Clock, poller, agent and openers in one object."""

    def __init__(self):
        self.now = 1000
        self.calls = []
        self.event_times = []
        self.requests = []
        self.due = NEVER
        self.ports = {}
        self.watched = {}
        self.lines = []
        self.ready = []
        self.answers = {}
        self.io_loop = IoLoop(FakeAgent(self), {"tcp": self.open_port}, self, self.lines.append, 9)

    # the interface of a poller
    def clock(self):
        return self.now

    def wait(self, deadline):
        self.now = max(self.now, min(deadline, self.now + 1_000_000))
        ready, self.ready = self.ready, []
        return ready

    def wake(self):
        self.calls.append("woken")

    def watch(self, number, pollable, write):
        assert number not in self.watched
        self.watched[number] = write

    def unwatch(self, number):
        del self.watched[number]

    # the interface of an agent
    def receive(self, port, data, now):
        self.calls.append((port, data))
        self.requests += self.answers.pop((port, data), [])

    def event(self, port, kind, now):
        self.calls.append((port, kind))
        self.event_times.append(now)
        self.requests += self.answers.pop((port, kind), [])

    def wake_agent(self, now):
        self.calls.append("wake")
        self.due = NEVER

    def deadline(self):
        return self.due

    def outbox(self):
        requests, self.requests = self.requests, []
        return requests

    # the openers
    def open_port(self, address, wake):
        port = FakePort(address.port)
        self.ports[address.port] = port
        return port

    def take_calls(self):
        calls, self.calls = self.calls, []
        return calls

    def open_ports(self, *numbers):
        """Open ports whose address is their number plus one, and take the events."""
        for number in numbers:
            self.requests.append((number, "open", b"tcp:h:%d" % (number + 1)))
        self.io_loop.start()
        self.io_loop.step([])
        self.take_calls()


class FakeAgent:
    """The platform as the agent sees it (`wake` has another meaning for a poller)."""

    def __init__(self, world):
        self.receive = world.receive
        self.event = world.event
        self.wake = world.wake_agent
        self.deadline = world.deadline
        self.outbox = world.outbox


class FakePort:
    """A port that returns the data in `incoming` and accepts `room` bytes."""

    def __init__(self, number):
        self.pollable = 100 + number
        self.wants_write = False
        self.age_us = 0
        self.read_empties_input = False
        self.max_write = 4096
        self.incoming = []
        self.written = b""
        self.room = 1 << 30
        self.ready = True
        self.durable = True
        self.unsent = b""
        self.error = None
        self.closed = False

    def _raise_error(self):
        if self.error is not None:
            raise PortError(self.error)

    def continue_open(self):
        self._raise_error()
        return self.ready

    def read(self):
        self._raise_error()
        return self.incoming.pop(0) if self.incoming else b""

    def write(self, data):
        self._raise_error()
        count = min(len(data), self.room)
        self.written += data[:count]
        self.room -= count
        return count

    def is_drained(self):
        self._raise_error()
        return self.durable

    def is_sent(self):
        return not self.unsent

    def set_options(self, text):
        raise PortError("cannot set " + text)

    def close(self):
        self.closed = True
