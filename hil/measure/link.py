# SPDX-License-Identifier: Apache-2.0
"""Measures of the log: counters of the agent, and records on the ground."""

from hil.bench.testbed import Testbed
from hil.measure.base import Measure, ReadFunction, Status, component_status


def _log_value(name: str) -> ReadFunction:
    return lambda _, status, __: (
        float(log[name]) if (log := component_status(status, "log")) else None
    )


def _class_sum(name: str) -> ReadFunction:
    return lambda _, status, __: (
        float(sum(log[name].values())) if (log := component_status(status, "log")) else None
    )


def _receipts_rejected(_: Testbed, status: Status, __: str) -> float | None:
    log = component_status(status, "log")
    if not log:
        return None
    receipts = log["receipts"]
    return float(receipts["forged"] + receipts["foreign"] + receipts["unsent"])


def _ground_value(name: str) -> ReadFunction:
    return lambda testbed, _, __: (
        None if testbed.ground is None else float(getattr(testbed.ground, name))
    )


def _count_records(testbed: Testbed, _: Status, __: str) -> float | None:
    return None if testbed.ground is None else float(len(testbed.ground.arrival_order))


LINK_MEASURES: dict[str, Measure] = {
    "log_waiting": Measure(
        "", "records that the ground has not acknowledged", _class_sum("waiting")
    ),
    "log_lost": Measure("", "records dropped because the store was full", _class_sum("lost")),
    "log_damaged": Measure("", "places in the flash without a valid record", _log_value("damaged")),
    "log_torn": Measure("", "truncated segments found at a start", _log_value("torn")),
    "log_failures": Measure("", "failures of the log store", _log_value("failures")),
    "log_at_risk_s": Measure(
        "s", "age of telemetry that a power cut would lose", _log_value("at_risk_s")
    ),
    "log_bytes": Measure("By", "flash used by the log", _log_value("bytes")),
    "receipts_refused": Measure(
        "", "rejected receipts: forged, of another unit, or for nothing sent", _receipts_rejected
    ),
    "ground_records": Measure("", "records on the ground", _count_records),
    "ground_lost": Measure("", "deleted records that are not on the ground", _ground_value("lost")),
    "ground_twice": Measure(
        "", "duplicate records that the ground dropped", _ground_value("duplicates")
    ),
    "ground_differing": Measure(
        "",
        "duplicate records with different content",
        _ground_value("conflicts"),
    ),
}
"""Measures for rows with `parts = "log"`."""
