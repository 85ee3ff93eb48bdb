# SPDX-License-Identifier: Apache-2.0
"""Random drags of time: a spoofer moves sentences and pulses slowly away from UTC.

Does not run them; see `hil.campaign.clock.world`. The bound must contain true UTC before the drag
is seen, while it is seen, and after the clock has followed it. It promises that within limits
(docs/engineer/time.md), so the drags stay within them:

    1 to 630 us a second, up to two hours
    the source was true for at least a quarter of that time, and for five minutes

The oscillator is steady. It has a sensor or not, and the receiver gives pulses or not.
"""

import random
from itertools import product

from hil.campaign.clock.model import ClockCase, Oscillator, Pulses, SentenceModel, Span

_SECONDS = 9_000.0
_LONGEST_S = 7_000.0
_SHARE = 4.0
_KINDS = tuple(product((True, False), (True, False)))
"""With a sensor, with pulses; one after the other."""


def generate_drag(seed: int) -> ClockCase:
    """Generate the drag of a seed."""
    rng = random.Random(f"drag/{seed}")
    has_sensor, has_pulses = _KINDS[seed % len(_KINDS)]
    start_s = rng.choice((306.0, 600.0, 1200.0, 3600.0, rng.uniform(300.0, 5000.0)))
    rate_ppm = rng.choice((-1.0, 1.0)) * 10 ** rng.uniform(0.0, 2.8)
    length_s = rng.uniform(60.0, min(_LONGEST_S, _SHARE * start_s))
    limit = rng.choice((2.0, 10.0, 20.0, 50.0))
    tempco = limit / 60.0 * rng.uniform(0.2, 1.0)
    oscillator = Oscillator(
        rng.uniform(-0.4, 0.4) * limit,
        tempco * rng.choice((-1.0, 1.0)),
        drift_limit=limit,
        tempco_limit=1.2 * tempco,
        ambient_c=((0.0, 25.0), (8000.0, 25.0 + rng.choice((0.0, 0.0, 2.0, -4.0)))),
        sensor=has_sensor,
    )
    receiver = SentenceModel(
        jitter=rng.choice(("normal", "late", "usb")),
        jitter_ms=rng.choice((0.5, 2.0, 10.0)),
        spread_ms=rng.choice((1.0, 3.0, 10.0)),
        time_drag_ppm=(Span(start_s, start_s + length_s, rate_ppm),),
    )
    return ClockCase(seed, _SECONDS, oscillator, receiver, Pulses() if has_pulses else None)
