# SPDX-License-Identifier: Apache-2.0
"""A component that records its calls, for the tests of `agent.core.component.registry`."""

from agent.core.component.base import Component
from protocols.time_units import SECOND


class FakeComponent(Component):
    def __init__(self, agent, settings, port):
        Component.__init__(self, agent, settings, port)
        self.calls = []
        self.due = SECOND
        if settings.get("points"):
            self.POINTS = (("fake.PowerWatts", "W", 1, 10),)

    def start(self, now):
        self.calls.append(("start", now))

    def receive(self, data, now):
        self.calls.append(("receive", data, now))

    def event(self, kind, now):
        self.calls.append(("event", kind, now))

    def link_receive(self, index, data, now):
        self.calls.append(("link_receive", index, data, now))

    def link_event(self, index, kind, now):
        self.calls.append(("link_event", index, kind, now))

    def tick(self, now):
        self.calls.append(("tick", now))

    def wake(self, now):
        self.calls.append(("wake", now))
        self.due = now + SECOND

    def deadline(self):
        return self.due

    def outbox(self):
        return [(self.port, "write", b"ask")] if self.calls and self.calls[-1][0] == "wake" else []

    def values(self, now):
        return [len(self.calls)]

    def status(self, now):
        return len(self.calls)
