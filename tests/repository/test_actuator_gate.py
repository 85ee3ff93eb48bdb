# SPDX-License-Identifier: Apache-2.0
"""Gate: an actuator moves only on the path of its arbiter.

Three methods call `request` of an actuator, and each gets its value from `Arbiter.decide`. Only the
actuators call `request_outputs` of a device session. Only `DriveReset` calls `reset` of a drive.
"""

import ast
import functools
import re
from collections.abc import Iterator

from tests.support.repository import ROOT, repo_files

MOVERS = {
    "agent/control/loop/supply_loop.py:_move",
    "agent/control/loop/pressure_loop.py:_move",
    "agent/control/fan_group.py:_move",
}
DECIDERS = {
    "agent/control/loop/supply_loop.py:_move",
    "agent/control/loop/pressure_loop.py:_decide",
    "agent/control/fan_group.py:_request_all",
    "agent/control/fan_group.py:request_safe",
}
ACTUATOR_NAMES = {"valve", "pump", "drive"}
METHODS = (
    *("request", "withhold", "decide", "request_outputs", "reset", "claim", "lock_out"),
    "request_setpoint",
)
_CALLED = re.compile(rf"\.\s*(?:{'|'.join(METHODS)})\s*\(")


@functools.cache
def calls() -> list[tuple[str, str, str, str]]:
    """Return all that `read_calls` yields; each test here looks at them."""
    return list(read_calls())


def read_calls() -> Iterator[tuple[str, str, str, str]]:
    """Yield (file, function, receiver, method) of each call of one of METHODS in the agent."""
    for name in repo_files():
        if not name.startswith("agent/") or not name.endswith(".py"):
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        if not _CALLED.search(text):  # to parse takes longest
            continue
        for function in ast.walk(ast.parse(text)):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in METHODS
                ):
                    receiver = ast.unparse(node.func.value).rsplit(".", 1)[-1]
                    yield name, function.name, receiver, node.func.attr


def places(method: str, *receivers: str) -> set[str]:
    assert method in METHODS
    return {
        f"{name}:{function}"
        for name, function, receiver, called in calls()
        if called == method and (not receivers or receiver in receivers)
    }


def test_only_the_path_of_the_arbiter_moves_an_actuator() -> None:
    assert places("request", *ACTUATOR_NAMES) == MOVERS
    assert places("withhold", *ACTUATOR_NAMES) == MOVERS


def test_every_mover_asks_the_arbiter() -> None:
    assert places("decide") == DECIDERS


def test_only_actuators_request_outputs_of_a_device() -> None:
    files = {place.split(":")[0] for place in places("request_outputs")}
    outlets = "agent/power/limit/load_shed.py"  # switches loads, moves no actuator of the cooling
    set_points = "agent/control/actuator/set_point.py"  # of a CDU that controls itself
    actuators = {"agent/control/actuator/pump.py", "agent/control/actuator/valve.py"}
    assert files == {*actuators, outlets, set_points}


def test_only_the_counted_reset_resets_a_drive() -> None:
    assert places("reset", "drive", "pump") == {"agent/control/actuator/reset_drives.py:step"}


def test_no_other_name_hides_an_actuator() -> None:
    """Each call of a method `request` is known: an actuator, the store queue or a port."""
    others = places("request") - MOVERS
    assert {place.split(":")[0] for place in others} == {
        "agent/fieldbus/device_session.py",
        "agent/fieldbus/write_channel.py",  # a device with several actuators
        "agent/redundancy/config_mirror.py",
        "agent/remote/capture.py",
        "agent/remote/export.py",
        "agent/runtime/io_loop.py",
    }


def test_laws_loads_and_the_optimiser_claim_no_actuator() -> None:
    """They request set-points; the optimiser is in `agent/control/law`."""
    for place in places("claim") | places("lock_out"):
        assert place.startswith(("agent/control/", "agent/safety/", "agent/core/")), place
        assert not place.startswith("agent/control/law/"), place
    users = {place.split(":")[0] for place in places("request_setpoint")}
    # `retain` repeats the last request of the optimiser after a restart; a group uses droop
    assert users == {
        "agent/control/group/component.py",
        "agent/power/component.py",
        "agent/retain/component.py",
    }
