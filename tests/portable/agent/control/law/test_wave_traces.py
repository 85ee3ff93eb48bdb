# SPDX-License-Identifier: Apache-2.0
"""Recorded outputs of the feedforward law under waves of the load (a characterisation test).

See `tests.portable.agent.control.law.test_traces`, which also writes the record.
"""

from agent.control.law.exchanger import Exchanger
from agent.control.law.feedforward import FeedforwardControl
from tests.portable.agent.control.law.trace_records import RECORDS
from tests.portable.agent.control.law.trace_tools import Noise, Record, near_record
from tests.portable.support.cooling_settings import EXCHANGER

FLOATS = 64  # the sums of many steps differ with 32 bits


def trace_feedforward_waves():
    """Waves of four periods, in both modes of the loop, with all that limits the integral."""
    noise, out = Noise(), Record()
    law = FeedforwardControl(Exchanger(EXCHANGER), 5.0, 95.0, 4.0, 4.0)
    true = Exchanger(dict(EXCHANGER, ua_kw_k=30.0))
    law.track(45.0)
    valve, supply, return_c, facility = 45.0, 32.0, 38.0, 24.0
    for i in range(4800):
        half_s = (10, 25, 45, 90)[i // 1200]
        rise = (7.0 if i % 1200 < 800 else 5.0) + (2.0 if i // half_s % 2 else -2.0)
        return_c += (supply + rise - return_c) / 3.0
        supply += (return_c - true.effectiveness(valve) * (return_c - facility) - supply) / 8.0
        seen, seen_return = int(supply * 10 + 0.5) / 10, int(return_c * 20) / 20
        law.set_gentle(i % 1200 > 1000)
        if i % 5 == 0 and i % 1200 < 300:
            law.hold_integral()
        if i % 400 == 200:
            law.set_integral_share(noise.number(0.0, 2.0))
        law.exchanger.may_learn_ua = i % 1200 < 900
        output = law.step(32.0, seen, seen_return, facility, 150.0, valve, 1.0)
        valve += max(-1.67, min(1.67, law.output - valve))
        out.add(output, law.correction, law.exchanger.ua_factor, law.wave.share, law.wave.error_k)
        out.add(law.steady_valve(noise.number(26.0, 38.0), seen, seen_return, facility, valve))
    return out.sums


def test_feedforward_waves():
    near_record(trace_feedforward_waves(), RECORDS["trace_feedforward_waves"])
