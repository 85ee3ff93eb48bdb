"""A carrier with its memory against an emulated modem, without the rest of the agent: quick.

The agent is a stand-in with a clock that knows UTC, a list of alarms and no devices; everything
else (agent.satcom, drivers.modems, hil's modem, sky and gateway) is the real code. A tick is a
second here.
"""

import heapq
from types import SimpleNamespace
from typing import Any

from agent.config.validate import validate
from agent.core.alarm_list import AlarmList
from agent.satcom.component import Carrier
from agent.satcom.persistence import Memory
from agent.satcom.schema import MODEM
from hil.bench.testbed import SITE_E7
from hil.bench.testbed_satcom import Satellite, section
from hil.bench.testbed_settings import Setting
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World

START_UTC = 1_795_500_000_000_000
SECOND = 1_000_000
_STORE_US = 2_000


class _Clock:
    def __init__(self, world: World) -> None:
        self._world = world
        self.witnessed = 0

    def utc(self, now: int) -> int:
        return self._world.utc(now)

    def witness(self, utc_us: int, uncertainty_us: int, now: int) -> bool:
        self.witnessed += 1
        return True


class CarrierRig:
    """One unit's carrier under `setting`; `modem` overrides keys of its section."""

    def __init__(
        self, setting: Setting, seed: int, modem: dict[str, Any] | None = None, gap_us: int = SECOND
    ) -> None:
        self.world = World(seed, START_UTC)
        self.satellite = Satellite(self.world, setting, SITE_E7)
        self.records: dict[str, bytes] = {}
        self._gap = gap_us
        errors: list[str] = []
        raw = {**section(setting), **(modem or {})}
        self.settings: dict[str, Any] = validate(raw, MODEM, "modem", errors)
        assert not errors, errors
        self._life = 0
        self.agent: Any = None
        self.boot()

    def boot(self) -> None:
        """Start the unit (again); its store is what it was."""
        self._life += 1
        world = self.world
        config = SimpleNamespace(site="bench", unit="cdu1", place_e7=SITE_E7, stale_us=5 * SECOND)
        self.alarms = AlarmList()
        self.agent = SimpleNamespace(
            config=config,
            alarms=self.alarms,
            clock=_Clock(world),
            ticks=SimpleNamespace(period=100_000),
            fieldbus=SimpleNamespace(stations=[]),
            telemetry=SimpleNamespace(parts=[]),
            uplink=None,
            parts=[],
        )
        self.carrier = Carrier(self.agent, self.settings, 4)
        self.memory = Memory(self.agent, {}, 5)
        self.agent.parts = [self.carrier, self.memory]
        device = self.satellite.device
        self.line = SerialLine(
            world, device, self.satellite.char_us, self._hear(self._life), 4, chunk=32
        )
        self.carrier.start(world.now)
        self.memory.event("opened", world.now)
        self.carrier.event("opened", world.now)
        self._carry_out()
        world.at(world.now + self._gap, self._tick, self._life)

    def _hear(self, life: int) -> Any:
        def hear(data: bytes) -> None:
            if life == self._life:
                self.carrier.receive(data, self.world.now)
                self._carry_out()

        return hear

    def _tick(self, life: int) -> None:
        if life != self._life:
            return
        self.carrier.tick(self.world.now)
        self._carry_out()
        self.world.at(self.world.now + self._gap, self._tick, life)

    def _carry_out(self) -> None:
        for _, _, data in self.carrier.outbox():
            self.line.write(data)
        for _, op, data in self.memory.outbox():
            self.world.at(self.world.now + _STORE_US, self._stored, self._life, op, data)

    def _stored(self, life: int, op: str, data: bytes) -> None:
        if life != self._life:
            return
        name, _, payload = data.partition(b"\0")
        if op == "get":
            found = self.records.get(name.decode())
            self.memory.receive(name if found is None else name + b"\0" + found, self.world.now)
        else:
            self.records[name.decode()] = payload
            self.memory.event("drained", self.world.now)
        self._carry_out()

    def run(self, until: int) -> None:
        """Let the world go on until `until` microseconds."""
        heap, world = self.world.heap, self.world
        while True:
            due = self.carrier.deadline()
            if heap and heap[0][0] <= min(due, until):
                world.now, _, _, call, args = heapq.heappop(heap)
                call(*args)
            elif due <= until:
                world.now = max(world.now, due)
                self.carrier.wake(world.now)
                self._carry_out()
            else:
                break
        world.now = until
