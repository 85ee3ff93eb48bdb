"""Words for what happens to the controller's power and to the flash of its parts.

Not what a part does then. A value is a share of 1: which record, which bit.
"""

from hil.bench.testbed import Row
from hil.fault.base import Word


def _set_full(row: Row, full: bool) -> None:
    """Let no record grow, or set no limit."""
    for store in row.stores.values():
        store.capacity = 0 if full else None


def _each_newest(row: Row, bit_of: float) -> None:
    for store in row.stores.values():
        keys = sorted(key for key in store.records if store.records[key])
        if keys:
            store.flip(keys[-1], int(bit_of * 8 * len(store.records[keys[-1]])))


def _tear(row: Row, share: float) -> None:
    for store in row.stores.values():
        keys = sorted(key for key in store.records if store.records[key])
        if keys:
            store.tear(keys[-1], int(share * len(store.records[keys[-1]])))


STORE_EVENTS: dict[str, Word] = {
    "power_cut": Word(
        "the controller loses its power, and what was not durable",
        lambda row, _: row.set_power(False),
        lambda row: row.set_power(True),
    ),
    "disk_full": Word(
        "no store has room for another byte",
        lambda row, _: _set_full(row, True),
        lambda row: _set_full(row, False),
    ),
    "store_bit_flip": Word(
        "a bit of each store's last record flips, value of 1 into it",
        _each_newest,
        limits=(0, 0.999),
    ),
    "store_torn": Word(
        "each store's last record loses its tail, value of 1 of it", _tear, limits=(0, 1)
    ),
}
