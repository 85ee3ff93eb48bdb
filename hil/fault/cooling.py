"""Words for what operators command of the cooling: for scenarios with the part `remote`, too."""

from collections.abc import Callable
from typing import Any

from hil.bench import operator_messages
from hil.bench.testbed import Testbed
from hil.fault.base import FaultType

_TOPIC = "coldloop/v1/bench/cdu1/cmd"


def _command_fault(name: str, *arguments: tuple[str, Any]) -> Callable[[Testbed, float], None]:
    def send(testbed: Testbed, _: float) -> None:
        utc_s = testbed.utc_at(testbed.world.now) // 1_000_000
        testbed.publish(_TOPIC, operator_messages.sign_command(utc_s, name, *arguments), False)

    return send


COOLING_EVENTS: dict[str, FaultType] = {
    "rotate_pumps": FaultType("operators let another pump take the lead", _command_fault("rotate")),
    "hold_flow": FaultType(
        "operators let the pumps hold the flow instead of dP",
        _command_fault("hold", ("mode", "flow")),
    ),
    "hold_dp": FaultType(
        "operators let the pumps hold dP again", _command_fault("hold", ("mode", "dp"))
    ),
    "prove_pumps": FaultType(
        "operators let the lag pump prove itself", _command_fault("proof", ("what", "pumps"))
    ),
    "calibrate": FaultType(
        "operators ask which offsets the sensors need: there is no heat",
        _command_fault("calibrate"),
    ),
    "prove_valve": FaultType(
        "operators begin a partial stroke of the valve", _command_fault("proof")
    ),
    "reset_causes": FaultType("operators reset what is latched and calm", _command_fault("reset")),
}
"""Every word of this file."""
