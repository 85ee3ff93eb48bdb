"""Words for what happens to the controller's power and to the flash of its parts.

Not what a part does then. A value is a share of 1: which record, which bit.
"""

from hil.bench.testbed import Testbed
from hil.fault.base import FaultType


def _set_full(testbed: Testbed, is_full: bool) -> None:
    """Let no record grow, or set no limit."""
    for store in testbed.stores.values():
        store.capacity = 0 if is_full else None


def _flip_newest_bits(testbed: Testbed, fraction: float) -> None:
    for store in testbed.stores.values():
        keys = sorted(key for key in store.records if store.records[key])
        if keys:
            store.flip_bit(keys[-1], int(fraction * 8 * len(store.records[keys[-1]])))


def _tear_newest(testbed: Testbed, fraction: float) -> None:
    for store in testbed.stores.values():
        keys = sorted(key for key in store.records if store.records[key])
        if keys:
            store.truncate_record(keys[-1], int(fraction * len(store.records[keys[-1]])))


STORE_EVENTS: dict[str, FaultType] = {
    "power_cut": FaultType(
        "the controller loses its power, and what was not durable",
        lambda testbed, _: testbed.set_power(False),
        lambda testbed: testbed.set_power(True),
    ),
    "disk_full": FaultType(
        "no store has room for another byte",
        lambda testbed, _: _set_full(testbed, True),
        lambda testbed: _set_full(testbed, False),
    ),
    "store_bit_flip": FaultType(
        "a bit of each store's last record flips, value of 1 into it",
        _flip_newest_bits,
        limits=(0, 0.999),
    ),
    "store_torn": FaultType(
        "each store's last record loses its tail, value of 1 of it", _tear_newest, limits=(0, 1)
    ),
}
