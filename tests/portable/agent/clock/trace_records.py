# SPDX-License-Identifier: Apache-2.0
"""Records of the clock; `test_clock_traces` and `test_source_traces` write and compare them."""

RECORDS = {
    "trace_budget": 49578560005116037,
    "trace_cross_check": 277188661150956191,
    "trace_fit": 64032888380729789,
    "trace_interval": 27391353137086157,
    "trace_leap_second": 244486393219055674,
    "trace_pulses": 206067706717520208,
    "trace_sentences": 91015045347154848,
    "trace_source": 51278322208807716,
    "trace_temperature": 267699691910123633,
    "trace_unknown_leap_seconds": 111398421986602713,
}
