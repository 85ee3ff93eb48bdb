"""Words for what operators command of the cooling: for scenarios with the part `remote`, too."""

from collections.abc import Callable
from typing import Any

from hil.bench import operator_messages
from hil.bench.testbed import Row
from hil.fault.base import Word

_TOPIC = "coldloop/v1/bench/cdu1/cmd"


def _command(name: str, *arguments: tuple[str, Any]) -> Callable[[Row, float], None]:
    def do(row: Row, _: float) -> None:
        utc_s = row.utc_at(row.world.now) // 1_000_000
        row.publish(_TOPIC, operator_messages.signed_command(utc_s, name, *arguments), False)

    return do


COOLING_EVENTS: dict[str, Word] = {
    "rotate_pumps": Word("operators let another pump take the lead", _command("rotate")),
    "hold_flow": Word(
        "operators let the pumps hold the flow instead of dP", _command("hold", ("mode", "flow"))
    ),
    "hold_dp": Word("operators let the pumps hold dP again", _command("hold", ("mode", "dp"))),
    "prove_pumps": Word(
        "operators let the lag pump prove itself", _command("proof", ("what", "pumps"))
    ),
    "calibrate": Word(
        "operators ask which offsets the sensors need: there is no heat", _command("calibrate")
    ),
    "prove_valve": Word("operators begin a partial stroke of the valve", _command("proof")),
    "reset_causes": Word("operators reset what is latched and calm", _command("reset")),
}
"""Every word of this file."""
