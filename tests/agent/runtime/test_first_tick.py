# SPDX-License-Identifier: Apache-2.0
"""The first tick of a board is due when its first port is open; the others open after it."""

import subprocess

from tests.support.programs import require_program
from tests.support.repository import ROOT

SLOW_START = """
import sys, time
sys.path.insert(0, "{root}")
from agent.core.tick_scheduler import TickScheduler
from agent.runtime import micropython
class Agent:
    def __init__(self):
        self.ticks = TickScheduler(100_000, 0, 10)
        self.requests = [(4, "open", b"uart:1"), (0, "open", b"uart:0")]
    def start(self, now):
        self.ticks.start(now)
    def deadline(self):
        return self.ticks.due
    def outbox(self):
        requests, self.requests = self.requests, []
        return requests
    def event(self, *_): pass
    def wake(self, now):
        if now >= self.ticks.due:
            self.ticks.run(now, None)
class Port:
    wants_write = False
    pollable = None
    def continue_open(self): return False
    def close(self): pass
opened = []
def open_port(address, wake):
    if not opened:
        time.sleep_ms(150)
    opened.append(str(address))
    return Port()
agent = Agent()
until = lambda: agent.ticks.count > 1
micropython.run(agent, until, {{"uart": open_port}}, start=agent.start)
print(opened, agent.ticks.missed, agent.ticks.max_late_us)
"""


def test_the_first_tick_does_not_wait_for_the_first_port() -> None:
    program = require_program("micropython")
    script = SLOW_START.format(root=ROOT)
    command = [program, "-X", "heapsize=4M", "-c", script]
    completed = subprocess.run(command, capture_output=True, text=True, check=True)
    opened, missed, late_us = completed.stdout.rsplit(maxsplit=2)
    assert opened == "['uart:1', 'uart:0']"
    assert int(missed) == 0
    assert int(late_us) < 100_000
