# SPDX-License-Identifier: Apache-2.0
"""Runs two redundant controllers with a unit's configuration against emulated twins of its devices.

Does not judge and does not choose the scenario; see `hil.run.unit.unit_suite`. Both have the key of
the configuration. A link of it is emulated, whatever its addresses are. The events are the faults
of `hil.run.several.pair_run`; the measures are those of a pair in a scenario.
"""

from __future__ import annotations

from hil.errors import BenchError
from hil.kernel.world import World
from hil.run.several.pair_measures import read_pair
from hil.run.several.pair_run import ControllerPair, PairRow
from hil.run.several.stepped_pair import SteppedPair
from hil.run.unit import unit_measures
from hil.run.unit.twin_row import TwinRow
from hil.run.unit.unit_file import UnitFile
from hil.run.virtual import START_UTC
from hil.scenario.model import Scenario
from protocols.modbus.pdu import read_holding
from protocols.modbus.rtu import build_frame

_SECOND = 1_000_000


class TwinPairRun(SteppedPair):
    """One scenario of a unit with two controllers, ready to `run`."""

    def __init__(self, unit: UnitFile, scenario: Scenario, seed: int) -> None:
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
        pair = ControllerPair(
            world, pair_row, bool(section.get("ports")), bytes.fromhex(section["key"])
        )
        super().__init__(scenario, seed, pair)
        for event in scenario.events:
            kind, node = event.do, int(event.value or 0) - 1
            pair.at(event.at_s, pair.begin_fault, kind, node)
            if event.for_s is not None:
                pair.at(event.at_s + event.for_s, pair.end_fault, kind, node)
        pair.measure_from(0)

    def sample(self, name: str) -> float | None:
        """Read one measure now."""
        measure, _, number = name.partition(":")
        if measure in unit_measures.PAIR:
            return read_pair(self.pair, unit_measures.PAIR[measure], int(number or 0))
        return unit_measures.read(name, self.status, self.row.plant)
