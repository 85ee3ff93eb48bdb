# SPDX-License-Identifier: Apache-2.0
"""Faults of the link to the broker: connections without traffic, missing and forged receipts."""

from operator import attrgetter

from hil.bench.ground_station import MqttGround
from hil.bench.testbed import Testbed
from hil.fault.base import FaultType, attribute_fault


def _grounds(testbed: Testbed) -> list[MqttGround]:
    return [] if testbed.ground is None else [testbed.ground]


def _restore_link(testbed: Testbed) -> None:
    testbed.link.cut_after(None)
    testbed.link.set_silent(False)


LINK_EVENTS: dict[str, FaultType] = {
    "receipts_missing": FaultType(
        "the ground stores records and sends no receipts",
        *attribute_fault(_grounds, "silent"),
    ),
    "receipts_forged": FaultType(
        "the ground sends forged and replayed receipts after each receipt",
        *attribute_fault(_grounds, "forging"),
    ),
    "link_half_open": FaultType(
        "the link to the broker loses all data; its connection stays open and never recovers",
        lambda testbed, _: testbed.link.set_silent(True),
        lambda testbed: testbed.link.set_silent(False),
    ),
    "link_cut_after": FaultType(
        "the link loses all data after VALUE more bytes to the broker",
        lambda testbed, value: testbed.link.cut_after(int(value)),
        _restore_link,
        limits=(1, 1_000_000),
    ),
    "session_lost": FaultType(
        "the broker loses its sessions",
        *attribute_fault(attrgetter("broker"), "lose_session"),
    ),
    "broker_acks_slow": FaultType(
        "the acknowledgements of the broker come VALUE s late",
        *attribute_fault(attrgetter("broker"), "slow_acks_us", 0, lambda s: int(s * 1_000_000)),
        limits=(0, 60),
    ),
}
