# SPDX-License-Identifier: Apache-2.0
"""One measured signal: a reading that stands still while its estimate moves is suspect."""

from agent.control.law.checked_signal import RELATION, CheckedSignal
from tests.portable.support.check import eq


def watch(readings, estimates):
    signal = CheckedSignal(5.0, 75.0, 1.0, 0.12)
    for raw, estimate in zip(readings, estimates):
        signal.watch_still(raw, estimate, 1.0)
    return signal.suspect


def test_still_reading_is_suspect_when_its_estimate_moves():
    falling = [23.0 - i / 10 for i in range(80)]
    eq(watch([23.0] * 80, falling), RELATION)
    eq(watch([23.0] * 65, falling), "")  # a true reading follows after the transit of the loop
    eq(watch([23.0] * 40, [23.0] * 40), "")  # nothing moves
    eq(watch([23.0] * 20, falling), "")  # not long enough
    eq(watch([23.0 + i % 15 // 14 / 10 for i in range(80)], falling), "")  # it lives
    eq(watch([23.0] * 40, [23.0] * 10 + [None] * 10 + [20.0] * 20), "")  # a new estimate
