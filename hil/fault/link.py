"""Words for what happens to a unit's log on its way: dead links, receipts that do not come."""

from operator import attrgetter

from hil.bench.ground_station import Ground
from hil.bench.testbed import Row
from hil.fault.base import Word, held


def _ground(row: Row) -> list[Ground]:
    return [] if row.ground is None else [row.ground]


def _uncut(row: Row) -> None:
    row.cut_link_after(None)
    row.set_link_silent(False)


LINK_EVENTS: dict[str, Word] = {
    "receipts_missing": Word(
        "the ground takes what comes and says nothing",
        *held(_ground, "mute"),
    ),
    "receipts_forged": Word(
        "beside each receipt come forged and replayed ones",
        *held(_ground, "forge"),
    ),
    "link_half_open": Word(
        "the link to the broker falls silent; its connection stays open, and dead for good",
        lambda row, _: row.set_link_silent(True),
        lambda row: row.set_link_silent(False),
    ),
    "link_cut_after": Word(
        "the link falls silent after value more bytes upwards",
        lambda row, value: row.cut_link_after(int(value)),
        _uncut,
        limits=(1, 1_000_000),
    ),
    "session_lost": Word(
        "the broker forgets its sessions",
        *held(attrgetter("broker"), "lose_session"),
    ),
    "broker_acks_slow": Word(
        "the broker's acknowledgements come value seconds late",
        *held(attrgetter("broker"), "slow_acks_us", 0, lambda s: int(s * 1_000_000)),
        limits=(0, 60),
    ),
}
