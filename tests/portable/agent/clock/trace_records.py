# SPDX-License-Identifier: Apache-2.0
"""Records of the clock; `test_clock_traces` and `test_source_traces` write and compare them."""

RECORDS = {
    "trace_budget": 131751090093404427,
    "trace_cross_check": 277188661150956191,
    "trace_fit": 64032888380729789,
    "trace_interval": 177717843724550420,
    "trace_leap_second": 244486393219055674,
    "trace_pulses": 150089087119612546,
    "trace_sentences": 229544404830707843,
    "trace_source": 88438095239892556,
    "trace_temperature": 249393507350139157,
    "trace_unknown_leap_seconds": 228520035291521708,
}
