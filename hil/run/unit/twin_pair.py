# SPDX-License-Identifier: Apache-2.0
"""Runs two redundant controllers with a unit's configuration against emulated twins of its devices.

Does not judge and does not choose the scenario; see `hil.run.unit.unit_suite`. Both have the key of
the configuration. A link of it is emulated, whatever its addresses are. The events are the faults
of `hil.run.several.pair_run`; the measures are those of a pair in a scenario.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agent.port_numbers import STATE
from hil.errors import BenchError
from hil.io.endpoints import SinkEndpoint
from hil.kernel.world import World
from hil.run.several.pair_measures import read_pair
from hil.run.several.pair_run import ControllerPair, PairRow
from hil.run.several.scenario_run import SeveralRun
from hil.run.unit import unit_measures
from hil.run.unit.twin_row import TwinRow
from hil.run.unit.unit_file import UnitFile
from hil.run.virtual import START_UTC
from hil.scenario.model import Scenario
from hil.shells.several import PausableShell
from protocols.modbus.pdu import read_holding
from protocols.modbus.rtu import build_frame

_SECOND = 1_000_000


class TwinPairRun(SeveralRun):
    """One scenario of a unit with two controllers, ready to `run`."""

    def __init__(self, unit: UnitFile, scenario: Scenario, seed: int) -> None:
        super().__init__(scenario, seed)
        world = World(seed, START_UTC)
        self.row = TwinRow(world, unit)
        if len(self.row.buses) != 1:
            raise BenchError(f"{scenario.name}: a pair has one bus")
        section = unit.whole["redundancy"]
        pair_row = PairRow(
            self.row.plant,
            self.row.buses[0].line,
            -(-self.row.buses[0].bits * _SECOND // self.row.buses[0].baud),
            self.row.config(),
            unit.raw_profiles,
            float(unit.raw["control"].get("supply", {}).get("setpoint_c", 0.0)),
            build_frame(unit.raw["devices"][0]["unit"], read_holding(0, 1)),
            lambda _, __: None,
        )
        self.pair = ControllerPair(
            world, pair_row, bool(section.get("ports")), bytes.fromhex(section["key"])
        )
        self._status_text = b""
        for shell in self.pair.shells:
            shell.endpoints[STATE] = SinkEndpoint(shell, STATE, self._store_status)
        for event in scenario.events:
            kind, node = event.do, int(event.value or 0) - 1
            self.pair.at(event.at_s, self.pair.begin_fault, kind, node)
            if event.for_s is not None:
                self.pair.at(event.at_s + event.for_s, self.pair.end_fault, kind, node)
        self.pair.measure_from(0)

    @property
    def world(self) -> World:
        """The world of both controllers."""
        return self.pair.world

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of controller a."""
        return self.pair.config

    @property
    def console(self) -> list[str]:
        """The lines of both controllers."""
        return self.pair.console

    @property
    def shells(self) -> Sequence[PausableShell]:
        """The shells of both controllers."""
        return self.pair.shells

    def _store_status(self, data: bytes) -> None:
        self._status_text = data.split(b"\0", 1)[1]

    def _start(self) -> None:
        self.pair.start()

    def _pass_second(self, second: int) -> None:
        self.pair.run(second)
        self.pair.meter.roll()
        self.status = json.loads(self._status_text) if self._status_text else None

    def sample(self, name: str) -> float | None:
        """Read one measure now."""
        measure, _, number = name.partition(":")
        if measure in unit_measures.PAIR:
            return read_pair(self.pair, unit_measures.PAIR[measure], int(number or 0))
        return unit_measures.read(name, self.status, self.row.plant)
