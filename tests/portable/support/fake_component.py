"""A part that remembers how it was turned, for the tests of `agent.core.registry`."""

from agent.core.component import Part
from protocols.time_units import SECOND


class Fake(Part):
    def __init__(self, agent, settings, port):
        Part.__init__(self, agent, settings, port)
        self.seen = []
        self.due = SECOND

    def start(self, now):
        self.seen.append(("start", now))

    def receive(self, data, now):
        self.seen.append(("receive", data, now))

    def event(self, kind, now):
        self.seen.append(("event", kind, now))

    def link_receive(self, index, data, now):
        self.seen.append(("link_receive", index, data, now))

    def link_event(self, index, kind, now):
        self.seen.append(("link_event", index, kind, now))

    def tick(self, now):
        self.seen.append(("tick", now))

    def wake(self, now):
        self.seen.append(("wake", now))
        self.due = now + SECOND

    def deadline(self):
        return self.due

    def outbox(self):
        return [(self.port, "write", b"ask")] if self.seen and self.seen[-1][0] == "wake" else []

    def points(self):
        return [("fake.PowerWatts", "W", 1, 10)] if self.settings.get("points") else []

    def values(self, now):
        return [len(self.seen)]

    def status(self, now):
        return len(self.seen)
