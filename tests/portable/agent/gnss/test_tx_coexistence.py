# SPDX-License-Identifier: Apache-2.0
"""Permitted transmission times, affected epochs, and desensitisation."""

from agent.gnss.tx_coexistence import MAX_RESERVATION, TxCoexistence
from protocols.time_units import SECOND
from tests.portable.support.check import eq

S = SECOND


def test_epoch_during_transmission_is_tx_affected():
    coexistence = TxCoexistence()
    coexistence.announce_tx(10 * S + 300_000, 10 * S + 400_000)
    eq([coexistence.is_tx_affected(t * S) for t in (10, 11, 12)], [False, True, False])
    for i in range(20):
        coexistence.announce_tx((20 + i) * S, (20 + i) * S + 1)
    eq(coexistence.is_tx_affected(11 * S), False)  # only the last ones are stored
    eq(coexistence.is_tx_affected(39 * S), True)


def test_reserved_epochs_are_kept_free():
    coexistence = TxCoexistence()
    coexistence.reserve(20 * S, 30 * S)
    coexistence.reserve(10 * S, 12 * S)
    eq(coexistence.earliest_tx(0, 5 * S), 0)
    eq(coexistence.earliest_tx(8 * S, 5 * S), 12 * S)
    eq(coexistence.earliest_tx(8 * S, 9 * S), 30 * S)
    eq(coexistence.earliest_tx(31 * S, 9 * S), 31 * S)
    coexistence.reserve(40 * S, 40 * S + 2 * MAX_RESERVATION)
    eq(coexistence.earliest_tx(41 * S, S), 40 * S + MAX_RESERVATION)


def test_receiver_priority_delays_transmission_for_wait_us():
    waiting, other = TxCoexistence(60 * S), TxCoexistence()
    for coexistence in (waiting, other):
        coexistence.set_rx_priority(True, 5 * S)
        coexistence.set_rx_priority(True, 7 * S)
    eq((waiting.earliest_tx(8 * S, S), other.earliest_tx(8 * S, S)), (65 * S, 8 * S))
    eq(waiting.earliest_tx(70 * S, S), 70 * S)
    waiting.set_rx_priority(False, 71 * S)
    eq(waiting.earliest_tx(72 * S, S), 72 * S)


def test_desense_is_the_mean_of_several():
    coexistence = TxCoexistence()
    coexistence.add_tx_epoch(40 * 256, None)
    for level in (36, 38, 37):
        coexistence.add_tx_epoch(level * 256, 42 * 256)
    eq((coexistence.desense_centi_db(), coexistence.tx_affected), (0, 4))
    coexistence.add_tx_epoch(37 * 256, 42 * 256)
    eq(coexistence.desense_centi_db(), 500)
