# SPDX-License-Identifier: Apache-2.0
"""Faults of the controller's power and of its stores.

Does not describe the reaction of the components. A value is a fraction of 1: position of the bit,
or length of the lost part.
"""

from hil.bench.testbed import Testbed
from hil.fault.base import FaultType


def _set_full(testbed: Testbed, is_full: bool) -> None:
    """Let the stores take no byte more, or remove the limit."""
    for store in testbed.stores.values():
        store.set_capacity(0 if is_full else None)


def _flip_newest_bits(testbed: Testbed, fraction: float) -> None:
    for store in testbed.stores.values():
        keys = sorted(key for key in store.records if store.records[key])
        if keys:
            store.flip_bit(keys[-1], int(fraction * 8 * len(store.records[keys[-1]])))


def _truncate_newest(testbed: Testbed, fraction: float) -> None:
    for store in testbed.stores.values():
        keys = sorted(key for key in store.records if store.records[key])
        if keys:
            store.truncate_record(keys[-1], int(fraction * len(store.records[keys[-1]])))


STORE_EVENTS: dict[str, FaultType] = {
    "power_cut": FaultType(
        "the controller loses its power and all data that is not durable",
        lambda testbed, _: testbed.set_power(False),
        lambda testbed: testbed.set_power(True),
    ),
    "disk_full": FaultType(
        "all stores are full",
        lambda testbed, _: _set_full(testbed, True),
        lambda testbed: _set_full(testbed, False),
    ),
    "store_bit_flip": FaultType(
        "one bit of the last record of each store flips, at the fraction VALUE of its length",
        _flip_newest_bits,
        limits=(0, 0.999),
    ),
    "store_torn": FaultType(
        "the last record of each store loses the fraction VALUE of its length",
        _truncate_newest,
        limits=(0, 1),
    ),
}
