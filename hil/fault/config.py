"""Words for what operators, and others, send to the unit: for scenarios with the part `remote`."""

from hil.bench import operator_messages
from hil.bench.testbed import Row
from hil.bench.testbed_settings import LIMITS
from hil.fault.base import Word

_TOPIC = "coldloop/v1/bench/cdu1/"
_SUPPLY, _PRESSURE = 1, 2


def _push(row: Row, number: int, value: float, signer: int = operator_messages.OPERATE) -> None:
    report = row.broker.retained.get(_TOPIC + "cfg/reported")
    if report is not None:
        message = operator_messages.signed_patch(
            report.payload, _utc_s(row), [(number, value)], signer
        )
        row.publish(_TOPIC + "cfg/desired", message, True)


def _command(row: Row, name: str) -> None:
    row.publish(_TOPIC + "cmd", operator_messages.signed_command(_utc_s(row), name), False)


def _utc_s(row: Row) -> int:
    return row.utc_at(row.world.now) // 1_000_000


CONFIG_EVENTS: dict[str, Word] = {
    "push_setpoint": Word(
        "operators push a supply set-point of value °C",
        lambda row, value: _push(row, _SUPPLY, value),
        limits=LIMITS["setpoint_c"],
    ),
    "push_dp": Word(
        "operators push a set-point of value kPa",
        lambda row, value: _push(row, _PRESSURE, value),
        limits=LIMITS["setpoint_kpa"],
    ),
    "forged_setpoint": Word(
        "somebody without a key pushes a supply set-point of value °C",
        lambda row, value: _push(row, _SUPPLY, value, operator_messages.STRANGER),
        limits=LIMITS["setpoint_c"],
    ),
    "confirm_config": Word("operators confirm the trial", lambda row, _: _command(row, "confirm")),
    "roll_back_config": Word(
        "operators give the trial up", lambda row, _: _command(row, "rollback")
    ),
}
"""Every word of this file."""
