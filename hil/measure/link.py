"""Measures of the log and of what the ground has of it; the ground and the flash know the truth."""

from hil.bench.testbed import Testbed
from hil.measure.base import Measure, ReadFunction, Status


def _log_value(name: str) -> ReadFunction:
    return lambda _, status, __: float(status["log"][name]) if "log" in status else None


def _class_sum(name: str) -> ReadFunction:
    return lambda _, status, __: (
        float(sum(status["log"][name].values())) if "log" in status else None
    )


def _receipts_rejected(_: Testbed, status: Status, __: str) -> float | None:
    if "log" not in status:
        return None
    receipts = status["log"]["receipts"]
    return float(receipts["forged"] + receipts["foreign"] + receipts["unsent"])


def _ground_value(name: str) -> ReadFunction:
    return lambda testbed, _, __: (
        None if testbed.ground is None else float(getattr(testbed.ground, name))
    )


def _count_records(testbed: Testbed, _: Status, __: str) -> float | None:
    return None if testbed.ground is None else float(len(testbed.ground.arrival_order))


LINK_MEASURES: dict[str, Measure] = {
    "log_waiting": Measure(
        "", "records that the ground has not said it has", _class_sum("waiting")
    ),
    "log_lost": Measure("", "records given up for want of room", _class_sum("lost")),
    "log_damaged": Measure("", "places of the flash that are no record", _log_value("damaged")),
    "log_torn": Measure("", "torn tails found at a start", _log_value("torn")),
    "log_failures": Measure("", "times the log's store failed", _log_value("failures")),
    "log_at_risk_s": Measure("s", "rows that a power cut would cost", _log_value("at_risk_s")),
    "log_bytes": Measure("By", "flash that the log takes", _log_value("bytes")),
    "receipts_refused": Measure(
        "", "receipts that were forged, foreign or of nothing sent", _receipts_rejected
    ),
    "ground_records": Measure("", "records that the ground has", _count_records),
    "ground_lost": Measure("", "records deleted that the ground has not", _ground_value("lost")),
    "ground_twice": Measure(
        "", "records that came again, and were dropped", _ground_value("duplicates")
    ),
    "ground_differing": Measure(
        "",
        "records that came again with another content",
        _ground_value("conflicts"),
    ),
}
"""Words for rows with `parts = "log"`."""
