# SPDX-License-Identifier: Apache-2.0
"""Messages of operators and attackers to the unit, for scenarios with the section `remote`."""

import json

from hil.bench import operator_messages
from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import LIMITS
from hil.fault.base import FaultType

_TOPIC = "coldloop/v1/bench/cdu1/"
_SUPPLY, _PRESSURE = 1, 2


def _push_patch(
    testbed: Testbed, number: int, value: float, signer: int = operator_messages.OPERATE
) -> None:
    report = testbed.broker.retained.get(_TOPIC + "cfg/reported")
    if report is None:
        return
    change = operator_messages.ParameterChange(number, value)
    try:
        message = operator_messages.sign_patch(report.payload, _utc_s(testbed), [change], signer)
    except (ValueError, KeyError, TypeError):
        return  # the report is damaged, so the operator sends nothing
    testbed.publish(_TOPIC + "cfg/desired", message, True)


def _send_command(testbed: Testbed, name: str) -> None:
    testbed.publish(_TOPIC + "cmd", operator_messages.sign_command(_utc_s(testbed), name), False)


def _confirm(testbed: Testbed) -> None:
    """Confirm the change that the last report names."""
    report = testbed.broker.retained.get(_TOPIC + "cfg/reported")
    try:
        counter = json.loads(report.payload)["trial"] if report is not None else None
    except (ValueError, KeyError, TypeError):
        return  # the report is damaged, so the operator sends nothing
    if counter is not None:
        message = operator_messages.sign_command(_utc_s(testbed), "confirm", ("counter", counter))
        testbed.publish(_TOPIC + "cmd", message, False)


def _utc_s(testbed: Testbed) -> int:
    return testbed.utc_at(testbed.world.now) // 1_000_000


CONFIG_EVENTS: dict[str, FaultType] = {
    "push_setpoint": FaultType(
        "operators push a supply set-point of VALUE °C",
        lambda testbed, value: _push_patch(testbed, _SUPPLY, value),
        limits=LIMITS["setpoint_c"],
    ),
    "push_dp": FaultType(
        "operators push a differential pressure set-point of VALUE kPa",
        lambda testbed, value: _push_patch(testbed, _PRESSURE, value),
        limits=LIMITS["setpoint_kpa"],
    ),
    "forged_setpoint": FaultType(
        "an attacker without a key pushes a supply set-point of VALUE °C",
        lambda testbed, value: _push_patch(
            testbed, _SUPPLY, value, operator_messages.UNKNOWN_SIGNER
        ),
        limits=LIMITS["setpoint_c"],
    ),
    "confirm_config": FaultType(
        "operators confirm the trial", lambda testbed, _: _confirm(testbed)
    ),
    "roll_back_config": FaultType(
        "operators roll back the trial", lambda testbed, _: _send_command(testbed, "rollback")
    ),
}
"""All events of this module."""
