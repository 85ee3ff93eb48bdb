# SPDX-License-Identifier: Apache-2.0
"""Records of the clock; `test_clock_traces` and `test_source_traces` write and compare them."""

RECORDS = {
    "trace_budget": 219571848589439823,
    "trace_cross_check": 202501903485059409,
    "trace_fit": 64032888380729789,
    "trace_interval": 86367760138652833,
    "trace_leap_second": 264406894138406980,
    "trace_pulses": 144058435633796640,
    "trace_sentences": 4278834131638877,
    "trace_source": 202232017724088630,
    "trace_temperature": 180497283777561850,
    "trace_unknown_leap_seconds": 45917357147329605,
}
