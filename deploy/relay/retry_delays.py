# SPDX-License-Identifier: Apache-2.0
"""The delays before the next tries of what was away: 1 s, then twice the last one, at most 30 s."""

from collections.abc import Iterator

FIRST_S, MOST_S = 1.0, 30.0


def retry_delays() -> Iterator[float]:
    """Yield the delays in s, without an end."""
    delay_s = FIRST_S
    while True:
        yield delay_s
        delay_s = min(2 * delay_s, MOST_S)
