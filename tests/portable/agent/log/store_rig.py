# SPDX-License-Identifier: Apache-2.0
"""Settings and helpers of the tests of the log."""

from tests.portable.support.flash import SETTINGS

GENERATION = b"\x01\x02\x03"


def payloads(ground, group):
    return [ground.received[number][1] for number in ground.order if number & 3 == group]


def settings(**changed):
    made = dict(SETTINGS)
    made.update(changed)
    return made
