# SPDX-License-Identifier: Apache-2.0
"""Commands of operators to the cooling, for scenarios with the sections `cooling` and `remote`."""

from collections.abc import Callable
from typing import Any

from hil.bench import operator_messages
from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import LIMITS
from hil.fault.base import FaultType

_TOPIC = "coldloop/v1/bench/cdu1/cmd"


def _command_fault(name: str, *arguments: tuple[str, Any]) -> Callable[[Testbed, float], None]:
    def send(testbed: Testbed, _: float) -> None:
        utc_s = testbed.utc_at(testbed.world.now) // 1_000_000
        testbed.publish(_TOPIC, operator_messages.sign_command(utc_s, name, *arguments), False)

    return send


def _hold_valve(testbed: Testbed, value: float) -> None:
    outputs = ("valve_pct", int(value)), ("pump_pct", 70)
    _command_fault("override", ("mode", "hand"), ("minutes", 30), *outputs)(testbed, value)


def _set_local(testbed: Testbed, value: float) -> None:
    testbed.drives[int(value) - 1].inject("local", True)


def _set_remote(testbed: Testbed) -> None:
    for drive in testbed.drives:
        drive.inject("local", False)


COOLING_EVENTS: dict[str, FaultType] = {
    "rotate_pumps": FaultType(
        "operators make another pump the lead pump", _command_fault("rotate")
    ),
    "hold_flow": FaultType(
        "operators let the pumps control the flow instead of the differential pressure",
        _command_fault("hold", ("mode", "flow")),
    ),
    "hold_dp": FaultType(
        "operators let the pumps control the differential pressure again",
        _command_fault("hold", ("mode", "dp")),
    ),
    "prove_pumps": FaultType(
        "operators start a proof test of the lag pump", _command_fault("proof", ("what", "pumps"))
    ),
    "calibrate": FaultType(
        "operators start the offset calibration of the sensors; it needs a loop without heat",
        _command_fault("calibrate"),
    ),
    "autotune": FaultType(
        "operators start the automatic tuning of the supply loop: a relay test with VALUE %",
        lambda testbed, value: _command_fault("autotune", ("step_pct", int(value)))(testbed, value),
        lambda testbed: _command_fault("autotune", ("stop", True))(testbed, 0.0),
        limits=(1, 5),
    ),
    "prove_valve": FaultType(
        "operators start a partial stroke test of the valve", _command_fault("proof")
    ),
    "hand_valve": FaultType(
        "operators hold the valve at VALUE % and the pumps at 70 %, for 30 min",
        _hold_valve,
        lambda testbed: _command_fault("release")(testbed, 0.0),
        limits=(0, 100),
    ),
    "pump_local": FaultType(
        "the drive of pump number VALUE is switched to local mode on its panel",
        _set_local,
        _set_remote,
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "reset_causes": FaultType(
        "operators reset the latched conditions that are no longer active", _command_fault("reset")
    ),
}
"""All events of this module."""
