# SPDX-License-Identifier: Apache-2.0
"""Trend logs: the last 24 hours of chosen points, read by ReadRange (clause 15.8).

A log has one record a minute: the first value of the minute. Its start is filled from the agent's
log, if that has the point. While UTC is not known, nothing is recorded. The buffer is a ring
(Stop_When_Full FALSE): the oldest record is dropped, and sequence numbers go on. If the clock has
gone back for a minute, the later records are dropped: one wrong UTC in the future would else stop
the log until then. bacpypes3 0.0.110 has the object type, but no logging and no ReadRange.
"""

import datetime as dt
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bacpypes3.apdu import ReadRangeACK, ReadRangeRequest
from bacpypes3.basetypes import (
    DeviceObjectPropertyReference,
    LogRecord,
    LogRecordLogDatum,
)
from bacpypes3.constructeddata import Any as AnyValue
from bacpypes3.constructeddata import ListOf
from bacpypes3.errors import ExecutionError
from bacpypes3.object import TrendLogObject

from deploy.northbound.bacnet.alarm_objects import date_time
from deploy.northbound.bacnet.point_objects import FAULT, NO_FLAGS, PointObject
from deploy.northbound.bacnet.update_faults import UpdateFaults
from deploy.northbound.snapshot import Snapshot

LOGGED = (
    "supply_temperature",
    "return_temperature",
    "differential_pressure",
    "secondary_flow",
    "heat",
    "valve_position",
    "facility_supply_temperature",
    "dew_margin",
    "headroom",
    "power",
)
"""Points with a trend log. The instance is the position in this list, from 1: append only."""
RECORDS = 24 * 60
INTERVAL_S = 60
_PAGE = 30
"""Records in one reply, so that it fits one APDU without segments (about 25 bytes each)."""
_MAX_SEQUENCE = 2**32 - 1
_ListOfLogRecord = ListOf(LogRecord)


@dataclass(frozen=True, slots=True)
class TrendRecord:
    """One record. `at_utc_s`: UTC, s; `value`: Present_Value, None: not known."""

    sequence: int
    at_utc_s: float
    value: float | None


class TrendLog:
    """The log of one point. Records are in order of time and of sequence."""

    def __init__(self, instance: int, point: PointObject) -> None:
        self.point = point
        self.records: deque[TrendRecord] = deque(maxlen=RECORDS)
        self.object = TrendLogObject(
            objectIdentifier=("trend-log", instance),
            objectName=f"trend {point.row.key}",
            description=f"{point.row.title}, one record a minute",
            statusFlags=NO_FLAGS,
            eventState="normal",
            reliability="no-fault-detected",
            enable=True,
            stopWhenFull=False,
            bufferSize=RECORDS,
            logBuffer=[],
            recordCount=0,
            totalRecordCount=0,
            loggingType="polled",
            logInterval=100 * INTERVAL_S,
            alignIntervals=True,
            intervalOffset=0,
            logDeviceObjectProperty=DeviceObjectPropertyReference(
                objectIdentifier=point.object.objectIdentifier,
                propertyIdentifier="present-value",
            ),
        )
        self._sequence = 0
        self._back_us: int | None = None

    def fill(self, samples: Iterable[tuple[float, float | None]]) -> None:
        """Replace all records by samples (UTC s, value in the unit of the table) and go on."""
        newest: dict[int, tuple[float, float | None]] = {}
        for at, value in samples:
            newest.setdefault(int(at // INTERVAL_S), (at, value))
        live = list(self.records)
        first_live = int(live[0].at_utc_s // INTERVAL_S) if live else None
        self.records.clear()
        for minute in sorted(newest)[-RECORDS:]:
            if first_live is None or minute < first_live:
                at, value = newest[minute]
                scaled = None if value is None else value / self.point.row.scale * self._factor
                self._append(at, scaled)
        for record in live:
            self._append(record.at_utc_s, record.value)
        self._publish()

    def add(self, snapshot: Snapshot) -> None:
        """Record the value of a new minute."""
        if snapshot.utc is None:
            return
        at = snapshot.utc.timestamp()
        self._drop_later(at, snapshot.uptime_us)
        newest = self.records[-1].at_utc_s if self.records else 0.0
        if at // INTERVAL_S > newest // INTERVAL_S:
            raw = snapshot.points[self.point.row.key].raw
            self._append(at, None if raw is None else raw * self._factor)
            self._publish()

    def _drop_later(self, at: float, uptime_us: int) -> None:
        """Drop the records after `at` if all of the last minute was before them."""
        if not self.records or self.records[-1].at_utc_s <= at + INTERVAL_S:
            self._back_us = None
            return
        if self._back_us is None or uptime_us < self._back_us:
            self._back_us = uptime_us
        if uptime_us - self._back_us >= 1_000_000 * INTERVAL_S:
            while self.records and self.records[-1].at_utc_s > at:
                self.records.pop()
            self._publish()

    @property
    def _factor(self) -> float:
        return self.point.factor

    def _append(self, at: float, value: float | None) -> None:
        self._sequence = self._sequence % _MAX_SEQUENCE + 1
        self.records.append(TrendRecord(self._sequence, at, value))

    def _publish(self) -> None:
        self.object.recordCount = len(self.records)
        self.object.totalRecordCount = self._sequence


class TrendLogs:
    """All trend logs, and the service ReadRange."""

    def __init__(self, points: dict[str, PointObject], faults: UpdateFaults) -> None:
        self._faults = faults
        self.by_key = {key: TrendLog(number, points[key]) for number, key in enumerate(LOGGED, 1)}

    def objects(self) -> Iterator[Any]:
        """Return the objects of bacpypes3."""
        return (log.object for log in self.by_key.values())

    def add(self, snapshot: Snapshot) -> None:
        """Record a snapshot in all logs."""
        for key, log in self.by_key.items():
            try:
                log.add(snapshot)
            except Exception as error:  # noqa: BLE001 - the other logs go on
                self._faults.report(f"trend log of {key}", error)

    def fill(self, samples: Iterable[tuple[float, dict[str, float | None]]]) -> None:
        """Fill the logs with samples of several points (UTC s, value by key)."""
        kept = sorted(samples, key=lambda sample: sample[0])
        for key, log in self.by_key.items():
            log.fill((at, values[key]) for at, values in kept if key in values)

    def read_range(self, request: ReadRangeRequest, known: bool) -> ReadRangeACK:
        """Answer ReadRange of a log buffer. `known`: the object exists. Raises ExecutionError."""
        identifier = request.objectIdentifier
        found = [log for log in self.by_key.values() if log.object.objectIdentifier == identifier]
        if not found:
            code = ("property", "propertyIsNotAList") if known else ("object", "unknownObject")
            raise ExecutionError(*code)
        if str(request.propertyIdentifier) != "log-buffer":
            raise ExecutionError("property", "propertyIsNotAList")
        if request.propertyArrayIndex is not None:
            raise ExecutionError("property", "propertyIsNotAnArray")
        records = list(found[0].records)
        by_sequence, chosen, more = select(records, request.range)
        reply = ReadRangeACK(
            objectIdentifier=identifier,
            propertyIdentifier=request.propertyIdentifier,
            resultFlags=[
                int(bool(chosen) and chosen[0] is records[0]),
                int(bool(chosen) and chosen[-1] is records[-1]),
                int(more),
            ],
            itemCount=len(chosen),
            itemData=AnyValue(_ListOfLogRecord([_log_record(record) for record in chosen])),
            context=request,
        )
        if by_sequence and chosen:
            reply.firstSequenceNumber = chosen[0].sequence
        return reply


def select(records: list[TrendRecord], wanted: Any) -> tuple[bool, list[TrendRecord], bool]:
    """Return the requested records by the rules of clause 15.8.1.

    The result is: whether the reply has a sequence number, the records in order, and whether
    requested records are left out. Raises ExecutionError: count 0.
    """
    if wanted is None:
        return False, records[:_PAGE], len(records) > _PAGE
    if wanted.byPosition is not None:
        count = int(wanted.byPosition.count)
        at = int(wanted.byPosition.referenceIndex) - 1
        by_sequence = False
    elif wanted.bySequenceNumber is not None:
        count = int(wanted.bySequenceNumber.count)
        number = int(wanted.bySequenceNumber.referenceSequenceNumber)
        at = next((i for i, r in enumerate(records) if r.sequence == number), -1)
        by_sequence = True
    elif wanted.byTime is not None:
        count = int(wanted.byTime.count)
        at = _by_time(records, wanted.byTime.referenceTime, count)
        by_sequence = True
    else:
        raise ExecutionError("services", "inconsistentParameters")
    if not count:
        raise ExecutionError("services", "parameterOutOfRange")
    if not 0 <= at < len(records):
        return by_sequence, [], False
    if count > 0:
        chosen = records[at : at + count]
        return by_sequence, chosen[:_PAGE], len(chosen) > _PAGE
    chosen = records[max(0, at + 1 + count) : at + 1]
    return by_sequence, chosen[-_PAGE:], len(chosen) > _PAGE


def _by_time(records: list[TrendRecord], reference: Any, count: int) -> int:
    """Return the first record after the time, or for a negative count the last before it."""
    at = _seconds(reference)
    if count > 0:
        return next((i for i, r in enumerate(records) if r.at_utc_s > at), -1)
    return next((i for i in range(len(records) - 1, -1, -1) if records[i].at_utc_s < at), -1)


def _seconds(reference: Any) -> float:
    year, month, day, _ = tuple(reference.date)
    hour, minute, second, hundredth = tuple(reference.time)
    try:
        at = dt.datetime(year + 1900, month, day, hour, minute, second, tzinfo=dt.UTC)
    except ValueError:
        raise ExecutionError("property", "datatypeNotSupported") from None
    return at.timestamp() + (hundredth / 100 if hundredth < 100 else 0)


def _log_record(record: TrendRecord) -> LogRecord:
    value = record.value
    datum = LogRecordLogDatum(nullValue=()) if value is None else LogRecordLogDatum(realValue=value)
    return LogRecord(
        timestamp=date_time(dt.datetime.fromtimestamp(record.at_utc_s, dt.UTC)),
        logDatum=datum,
        statusFlags=FAULT if value is None else NO_FLAGS,
    )
