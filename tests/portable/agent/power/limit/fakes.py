# SPDX-License-Identifier: Apache-2.0
"""A row of loads without an agent: service, outlets, alarms and ticks that record their calls."""

from agent.power.load import Load
from agent.power.load_class import LoadClass

GPU = LoadClass("gpu", 85, 38, ((40, 100), (50, 50)))


class FakeTarget:
    """A Redfish target. `target_w`: the limit that the service reports. `delay`: the time from a
    request to its reading, in microseconds.
    """

    def __init__(self):
        self.system = "s"
        self.deferred = False
        self.requested_w = None
        self.reported_w = None
        self.target_w = None
        self.answered_at = 0
        self.is_in_force = False
        self.effect_us = 0
        self.power_w = None
        self.read_at = 0
        self.delay = 0

    @property
    def asked_at(self):
        return self.read_at - self.delay


class FakeService:
    """A Redfish service; `calls` has the limits and the power commands, `noted_off` the targets
    that were off before a restart.
    """

    def __init__(self, count=1):
        self.targets = [FakeTarget() for _ in range(count)]
        self.calls, self.noted_off = [], []

    def set_limit(self, index, watts, now):
        self.calls.append(("limit", index, watts, now))

    def note_off(self, index):
        self.noted_off.append(index)

    def set_power(self, index, on, now, force):
        self.calls.append(("power", index, on, now, force))


class FakeStrip:
    """A power strip on a field bus."""

    def __init__(self):
        self.requests = []

    def request_outputs(self, pairs, stop=False):
        self.requests.append((pairs, stop))


class FakeAlarms:
    """The alarms as {(code, source): text}."""

    def __init__(self):
        self.active = {}

    def update(self, record, source, is_active, now, text=None):
        if is_active:
            self.active.setdefault((record.code, source), text)
        else:
            self.active.pop((record.code, source), None)

    def set_text(self, record, source, text):
        if (record.code, source) in self.active:
            self.active[(record.code, source)] = text


class FakeTicks:
    def __init__(self):
        self.count, self.per_cycle = 100, 10


class AgentOfLoads:
    def __init__(self):
        self.alarms, self.ticks = FakeAlarms(), FakeTicks()


class FakeHeadroom:
    def __init__(self):
        self.supply_c, self.rise_k_s, self.heat_rejection_lost = 32.0, 0.0, False


class FakeOptics:
    """A monitor of one load; `is_hot` is its answer."""

    def __init__(self, load):
        self.load, self.is_hot = load, False

    def update(self, alarms, now):
        return self.is_hot


def make_load(name="a", priority=5, served=True):
    """Return a load of 300 to 1000 W."""
    load = Load(name, GPU, priority, 300, 1000)
    if served:
        load.use_service(FakeService(), 0)
    return load
