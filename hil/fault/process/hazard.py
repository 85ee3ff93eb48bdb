# SPDX-License-Identifier: Apache-2.0
"""Faults of the hazard analysis: hydraulics, loads that ignore limits, the controller, the bus.

Does not contain faults of values; see `hil.fault.register` and `hil.fault.sensor`. All faults
with an end restore the row as it was.
"""

from hil.bench.load_bank import LoadBank
from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import LIMITS
from hil.devices.modbus.other_master import ForeignWriter
from hil.fault.base import FaultType, attribute_fault
from hil.plant.plant import Plant

_SECOND = 1_000_000
_BOOT_US = 1 * _SECOND
"""Time from the reset of a board to the start of its agent (assumed)."""
_RACKS = 4


def _plant(testbed: Testbed) -> Plant:
    """Advance the plant to the present time, and give it."""
    testbed.plant.advance(testbed.world.now)
    return testbed.plant


def _load_bank(testbed: Testbed) -> LoadBank:
    if testbed.load_bank is None:
        raise ValueError('the row has no load bank: add parts = "throttle" to [row]')
    return testbed.load_bank


def _seize_all(testbed: Testbed, is_seized: bool) -> None:
    for pump in _plant(testbed).pumps:
        pump.set_seized(is_seized)


def _trip_all(testbed: Testbed, _: float) -> None:
    for drive in testbed.drives:
        drive.trip()


def _repair_couplings(testbed: Testbed) -> None:
    for i, _ in enumerate(_plant(testbed).pumps):
        testbed.plant.set_uncoupled(i, False)


def _straighten_hoses(testbed: Testbed) -> None:
    for i in range(_RACKS):
        _plant(testbed).set_rack_blocked(i, False)


def _repair_hidden_leak(testbed: Testbed) -> None:
    _plant(testbed).inventory.set_leak(0.0)
    testbed.plant.inventory.refill()


def _release_outlets(testbed: Testbed) -> None:
    """Let the relays follow what the outlets show."""
    pdu = _load_bank(testbed).pdu
    pdu.inject("relays_stuck", False)
    pdu.on_write(0, len(pdu.loads), testbed.world.now)


def _release_loads(testbed: Testbed) -> None:
    """Let the loads follow the limits that they confirmed."""
    for bmc in _load_bank(testbed).bmcs.values():
        bmc.inject("ignores_limits", False)
        for name, watts in bmc.limits_w.items():
            bmc.loads[name].set_limit(watts, testbed.world.now)


def _restart_board(testbed: Testbed, _: float) -> None:
    testbed.set_power(False)
    testbed.world.schedule(testbed.world.now + _BOOT_US, testbed.set_power, True)


def _start_foreign_writer(testbed: Testbed, value: float) -> None:
    writer = ForeignWriter(testbed.bus, testbed.valve.unit, 0, int(100.0 * value))
    writer.start(testbed.world.now)
    testbed.bus.other_devices.append(writer)


def _stop_foreign_writer(testbed: Testbed) -> None:
    devices = testbed.bus.other_devices
    devices[:] = [device for device in devices if not isinstance(device, ForeignWriter)]


HAZARD_EVENTS: dict[str, FaultType] = {
    "pumps_seized": FaultType(
        "the shafts of all pumps are blocked",
        lambda testbed, _: _seize_all(testbed, True),
        lambda testbed: _seize_all(testbed, False),
    ),
    "pumps_tripped": FaultType("the drives of all pumps trip", _trip_all),
    "pump_uncoupled": FaultType(
        "the coupling of pump number VALUE is broken: its motor turns, its impeller stands",
        lambda testbed, value: _plant(testbed).set_uncoupled(int(value) - 1, True),
        _repair_couplings,
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "valve_reversed": FaultType(
        "the valve is mounted in reverse: it opens when its actuator closes",
        lambda testbed, _: _plant(testbed).set_valve_reversed(True),
        lambda testbed: _plant(testbed).set_valve_reversed(False),
    ),
    "isolating_valve": FaultType(
        "the isolating valve of the row is shut manually",
        lambda testbed, _: _plant(testbed).set_isolated(True),
        lambda testbed: _plant(testbed).set_isolated(False),
    ),
    "rack_blocked": FaultType(
        "the hose of rack number VALUE is kinked: a tenth of its flow remains",
        lambda testbed, value: _plant(testbed).set_rack_blocked(int(value) - 1, True),
        _straighten_hoses,
        limits=(1, _RACKS),
    ),
    "hidden_leak": FaultType(
        "VALUE L/min of coolant leak where no detector is",
        lambda testbed, value: _plant(testbed).inventory.set_leak(value),
        _repair_hidden_leak,
        limits=(0.01, 100),
    ),
    "loads_ignore": FaultType(
        "the services of the loads confirm limits, and the loads ignore them",
        *(
            attribute_fault(
                lambda testbed: list(_load_bank(testbed).bmcs.values()), "ignores_limits"
            )[0],
            _release_loads,
        ),
    ),
    "loads_stay_on": FaultType(
        "the services of the loads confirm power actions, and the loads ignore them",
        *attribute_fault(lambda testbed: list(_load_bank(testbed).bmcs.values()), "ignores_resets"),
    ),
    "outlet_ignores": FaultType(
        "the outlets of the PDU confirm and show a switching, and their relays do not move",
        lambda testbed, _: _load_bank(testbed).pdu.inject("relays_stuck", True),
        _release_outlets,
    ),
    "board_restart": FaultType(
        "the controller restarts within 1 s with what its stores hold", _restart_board
    ),
    "foreign_write": FaultType(
        "a second master writes the set-point VALUE % to the valve each second",
        _start_foreign_writer,
        _stop_foreign_writer,
        limits=(0, 100),
    ),
}
"""All faults of this module."""
