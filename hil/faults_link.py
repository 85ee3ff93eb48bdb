"""Words for what happens to a unit's log on its way: dead links, receipts that do not come."""

from hil.row import Row
from hil.word import Word


def _set(row: Row, name: str, value: object) -> None:
    if row.ground is not None:
        setattr(row.ground, name, value)


def _uncut(row: Row) -> None:
    row.cut_link_after(None)
    row.set_link_silent(False)


LINK_EVENTS: dict[str, Word] = {
    "receipts_missing": Word(
        "the ground takes what comes and says nothing",
        lambda row, _: _set(row, "mute", True),
        lambda row: _set(row, "mute", False),
    ),
    "receipts_forged": Word(
        "beside each receipt come forged and replayed ones",
        lambda row, _: _set(row, "forge", True),
        lambda row: _set(row, "forge", False),
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
        lambda row, _: setattr(row.broker, "lose_session", True),
        lambda row: setattr(row.broker, "lose_session", False),
    ),
    "broker_acks_slow": Word(
        "the broker's acknowledgements come value seconds late",
        lambda row, value: setattr(row.broker, "slow_acks_us", int(value * 1_000_000)),
        lambda row: setattr(row.broker, "slow_acks_us", 0),
        limits=(0, 60),
    ),
}
