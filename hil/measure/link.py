"""Measures of the log and of what the ground has of it; the ground and the flash know the truth."""

from collections.abc import Callable

from hil.bench.testbed import Row
from hil.measure.base import Measure, Status

Read = Callable[[Row, Status, str], float | None]


def _of_log(name: str) -> Read:
    return lambda _, status, __: float(status["log"][name]) if "log" in status else None


def _of_classes(name: str) -> Read:
    return lambda _, status, __: (
        float(sum(status["log"][name].values())) if "log" in status else None
    )


def _refused(_: Row, status: Status, __: str) -> float | None:
    if "log" not in status:
        return None
    said = status["log"]["receipts"]
    return float(said["forged"] + said["foreign"] + said["unsent"])


def _of_ground(name: str) -> Read:
    return lambda row, _, __: None if row.ground is None else float(getattr(row.ground, name))


def _records(row: Row, _: Status, __: str) -> float | None:
    return None if row.ground is None else float(len(row.ground.order))


LINK_MEASURES: dict[str, Measure] = {
    "log_waiting": Measure(
        "", "records that the ground has not said it has", _of_classes("waiting")
    ),
    "log_lost": Measure("", "records given up for want of room", _of_classes("lost")),
    "log_damaged": Measure("", "places of the flash that are no record", _of_log("damaged")),
    "log_torn": Measure("", "torn tails found at a start", _of_log("torn")),
    "log_failures": Measure("", "times the log's store failed", _of_log("failures")),
    "log_at_risk_s": Measure("s", "rows that a power cut would cost", _of_log("at_risk_s")),
    "log_bytes": Measure("By", "flash that the log takes", _of_log("bytes")),
    "receipts_refused": Measure(
        "", "receipts that were forged, foreign or of nothing sent", _refused
    ),
    "ground_records": Measure("", "records that the ground has", _records),
    "ground_lost": Measure("", "records deleted that the ground has not", _of_ground("lost")),
    "ground_twice": Measure("", "records that came again, and were dropped", _of_ground("twice")),
    "ground_differing": Measure(
        "",
        "records that came again with another content",
        _of_ground("differing"),
    ),
}
"""Words for rows with `parts = "log"`."""
