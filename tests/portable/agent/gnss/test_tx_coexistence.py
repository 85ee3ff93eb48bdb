"""When it may be transmitted, which epochs that touches, and what it costs."""

from agent.gnss.tx_coexistence import LONGEST, Coexistence
from protocols.time_units import SECOND
from tests.portable.support.check import eq

S = SECOND


def test_an_epoch_is_tagged_when_its_second_was_transmitted_in():
    room = Coexistence()
    room.announce(10 * S + 300_000, 10 * S + 400_000)
    eq([room.is_tagged(t * S) for t in (10, 11, 12)], [False, True, False])
    for i in range(20):
        room.announce((20 + i) * S, (20 + i) * S + 1)
    eq(room.is_tagged(11 * S), False)  # only the last are kept
    eq(room.is_tagged(39 * S), True)


def test_reserved_epochs_are_kept_free():
    room = Coexistence()
    room.reserve(20 * S, 30 * S)
    room.reserve(10 * S, 12 * S)
    eq(room.clear(0, 5 * S), 0)
    eq(room.clear(8 * S, 5 * S), 12 * S)
    eq(room.clear(8 * S, 9 * S), 30 * S)
    eq(room.clear(31 * S, 9 * S), 31 * S)
    room.reserve(40 * S, 40 * S + 2 * LONGEST)
    eq(room.clear(41 * S, S), 40 * S + LONGEST)


def test_the_clocks_need_holds_the_modem_back_only_when_asked_and_not_for_ever():
    asked, other = Coexistence(60 * S), Coexistence()
    for room in (asked, other):
        room.need(True, 5 * S)
        room.need(True, 7 * S)
    eq((asked.clear(8 * S, S), other.clear(8 * S, S)), (65 * S, 8 * S))
    eq(asked.clear(70 * S, S), 70 * S)
    asked.need(False, 71 * S)
    eq(asked.clear(72 * S, S), 72 * S)


def test_desense_is_the_mean_of_several():
    room = Coexistence()
    room.measure(40 * 256, None)
    for level in (36, 38, 37):
        room.measure(level * 256, 42 * 256)
    eq((room.harm(), room.tagged), (0, 4))
    room.measure(37 * 256, 42 * 256)
    eq(room.harm(), 500)
