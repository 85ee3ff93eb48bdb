"""Words for what operators command of the cooling: for scenarios with the part `remote`, too."""

from collections.abc import Callable

from hil import operators
from hil.row import Row
from hil.word import Word

_TOPIC = "coldloop/v1/bench/cdu1/cmd"


def _command(name: str) -> Callable[[Row, float], None]:
    def do(row: Row, _: float) -> None:
        utc_s = row.utc_at(row.world.now) // 1_000_000
        row.publish(_TOPIC, operators.signed_command(utc_s, name), False)

    return do


COOLING_EVENTS: dict[str, Word] = {
    "rotate_pumps": Word("operators let another pump take the lead", _command("rotate")),
    "prove_valve": Word("operators begin a partial stroke of the valve", _command("proof")),
    "reset_causes": Word("operators reset what is latched and calm", _command("reset")),
}
"""Every word of this file."""
