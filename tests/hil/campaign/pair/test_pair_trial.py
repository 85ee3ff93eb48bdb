# SPDX-License-Identifier: Apache-2.0
"""A remote change with which no controller of a pair can become active ends by itself."""

from typing import Any

import pytest

from agent.port_numbers import FIRST_BUS
from agent.remote.message import patch
from agent.remote.message.canonical import to_cbor
from hil.bench import operator_messages
from hil.run.several.pair_run import PairRun
from protocols.signed_message import PATCH
from tests.hil.campaign.pair.remote_pair import (
    TOPIC,
    are_both_equal,
    make_run,
    report,
    roles,
    start,
    utc_s,
    wait,
)

pytestmark = pytest.mark.usefixtures("short_health_window")


def push_bus_address(run: PairRun, address: str) -> None:
    """Two operators send another address of the bus."""
    reported, now_s = report(run), utc_s(run)
    changes = [("buses.bus", to_cbor(address))]
    body = patch.encode_patch(now_s, reported["version"], now_s + 86_400, 600, changes)
    base = bytes.fromhex(reported["hash"])
    signers = operator_messages.OPERATE, operator_messages.LIMITS
    message = operator_messages._sign(PATCH, base, body, *signers)
    run.testbed.publish(TOPIC + "cfg/desired", message, True)


@pytest.mark.parametrize("is_absent", [True, False])
def test_a_trial_that_reaches_no_device_ends_at_both(is_absent: bool) -> None:
    """The new port is missing, or no device replies there, but both controllers are on it."""
    run = make_run()
    start(run)
    good = run.config["buses"]["bus"].encode()
    others: set[int] = set()
    receive = run.testbed.bus.receive

    def reply(data: bytes, now: int) -> Any:
        return receive(data, now) if len(others) < 2 else []

    run.testbed.bus.receive = reply  # type: ignore[method-assign]
    for node, shell in enumerate(run.shells):
        end: Any = shell.endpoints[FIRST_BUS]
        open_end = end.open

        def open_one(address: bytes, node: int = node, end: Any = end, go: Any = open_end) -> None:
            (others.discard if address == good else others.add)(node)
            end.absent = is_absent and address != good
            go(address)

        end.open = open_one
    push_bus_address(run, "serial:/virtual/other?baud=19200&parity=E")
    wait(run, 60, lambda: "active" not in roles(run))
    wait(run, 150, lambda: sorted(roles(run)) == ["active", "standby"])
    wait(run, 60, lambda: report(run)["last"][1] == "rolled_back")
    wait(run, 40, lambda: are_both_equal(run))
    assert report(run)["version"] == 0
