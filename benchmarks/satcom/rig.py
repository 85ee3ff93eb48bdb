# SPDX-License-Identifier: Apache-2.0
"""Satcom component and its store with an emulated modem, without the rest of the agent.

The stand-in for the agent has a clock that knows UTC, a list of alarms and no devices. All other
parts are real code: `agent.satcom`, `drivers.modems`, modem, sky and gateway of the bench. A tick
takes a second.
"""

from types import SimpleNamespace
from typing import Any

from agent.clock.position_check import PositionCheck
from agent.config.validate import validate
from agent.core.alarm_list import AlarmList
from agent.satcom.component import SatcomComponent
from agent.satcom.persistence import SatcomStore
from agent.satcom.schema import MODEM
from hil.bench.testbed import SITE_E7
from hil.bench.testbed_satcom import SatcomTestbed, modem_section
from hil.bench.testbed_settings import TestbedSettings
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World

START_UTC = 1_795_500_000_000_000
SECOND = 1_000_000
_STORE_US = 2_000


class _RigClock:
    def __init__(self, world: World) -> None:
        self._world = world
        self.cross_checks = 0
        self.position_check = PositionCheck(SITE_E7)

    def utc(self, now: int) -> int:
        return self._world.utc(now)

    def cross_check(self, utc_us: int, uncertainty_us: int, now: int) -> bool:
        self.cross_checks += 1
        return True


class SatcomRig:
    """The satcom component of one unit under `setting`; `modem` overrides keys of its section."""

    def __init__(
        self,
        setting: TestbedSettings,
        seed: int,
        modem: dict[str, Any] | None = None,
        gap_us: int = SECOND,
    ) -> None:
        self.world = World(seed, START_UTC)
        self.satellite = SatcomTestbed(self.world, setting, SITE_E7)
        self.records: dict[str, bytes] = {}
        self._gap = gap_us
        errors: list[str] = []
        raw = {**modem_section(setting), **(modem or {})}
        self.settings: dict[str, Any] = validate(raw, MODEM, "modem", errors)
        assert not errors, errors
        self._boot_count = 0
        self.agent: Any = None
        self.boot()

    def boot(self) -> None:
        """Start the unit again with the same store."""
        self._boot_count += 1
        world = self.world
        config = SimpleNamespace(
            site="bench", unit="cdu1", position_e7=SITE_E7, stale_us=5 * SECOND
        )
        self.alarms = AlarmList()
        self.agent = SimpleNamespace(
            config=config,
            alarms=self.alarms,
            clock=_RigClock(world),
            ticks=SimpleNamespace(period=100_000),
            fieldbus=SimpleNamespace(sessions=[]),
            uplink=None,
        )
        self.satcom = SatcomComponent(self.agent, self.settings, 4)
        self.satcom_store = SatcomStore(self.agent, {}, 5)
        self.agent.service = {"satcom_store": self.satcom_store}.get
        device = self.satellite.device
        self.line = SerialLine(
            world,
            device,
            self.satellite.char_us,
            self._make_receiver(self._boot_count),
            4,
            chunk=32,
        )
        self.satcom.start(world.now)
        self.satcom_store.event("opened", world.now)
        self.satcom.event("opened", world.now)
        self._process_outboxes()
        world.schedule(world.now + self._gap, self._tick, self._boot_count)

    def _make_receiver(self, boot_count: int) -> Any:
        def receive(data: bytes) -> None:
            if boot_count == self._boot_count:
                self.satcom.receive(data, self.world.now)
                self._process_outboxes()

        return receive

    def _tick(self, boot_count: int) -> None:
        if boot_count != self._boot_count:
            return
        self.satcom.tick(self.world.now)
        self._process_outboxes()
        self.world.schedule(self.world.now + self._gap, self._tick, boot_count)

    def _process_outboxes(self) -> None:
        for _, _, data in self.satcom.outbox():
            self.line.write(data)
        for _, op, data in self.satcom_store.outbox():
            self.world.schedule(
                self.world.now + _STORE_US, self._answer_store, self._boot_count, op, data
            )

    def _answer_store(self, boot_count: int, op: str, data: bytes) -> None:
        if boot_count != self._boot_count:
            return
        name, _, payload = data.partition(b"\0")
        if op == "get":
            result = self.records.get(name.decode())
            self.satcom_store.receive(
                name if result is None else name + b"\0" + result, self.world.now
            )
        else:
            self.records[name.decode()] = payload
            self.satcom_store.event("drained", self.world.now)
        self._process_outboxes()

    def run(self, until: int) -> None:
        """Run the world until `until`, microseconds."""
        heap, world = self.world.heap, self.world
        while True:
            due = self.satcom.deadline()
            if heap and heap[0][0] <= min(due, until):
                call, args = world.pop_event()
                call(*args)
            elif due <= until:
                world.advance_to(due)
                self.satcom.wake(world.now)
                self._process_outboxes()
            else:
                break
        world.advance_to(until)
