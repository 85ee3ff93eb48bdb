# SPDX-License-Identifier: Apache-2.0
"""Several alarms of one number in one BACnet object: events, time stamps, acknowledgements."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from bacpypes3.apdu import AcknowledgeAlarmRequest
from bacpypes3.errors import ExecutionError
from bacpypes3.pdu import Address

from deploy.northbound.access.types import FakeAudit, FakeWriter
from deploy.northbound.bacnet.alarm_objects import (
    TO_OFFNORMAL,
    AlarmObjects,
    Transition,
    time_stamp,
)
from deploy.northbound.bacnet.clients import PermittedClients
from deploy.northbound.bacnet.event_services import EventServices
from deploy.northbound.bacnet.update_faults import UpdateFaults
from deploy.northbound.snapshot import AlarmItem

START = dt.datetime(2026, 11, 28, 22, 14, 42, 200_000, tzinfo=dt.UTC)
CODE, NUMBER = "device_alarm", 306
WAITING, ACKNOWLEDGED, ENDED = (
    "active_unacknowledged", "active_acknowledged", "cleared_unacknowledged",
)  # fmt: skip


async def _make_objects(faults: UpdateFaults) -> AlarmObjects:
    """Return the objects; bacpypes3 completes them in a task."""
    objects = AlarmObjects((), faults)
    await asyncio.sleep(0)
    return objects


class _AlarmBench:
    def __init__(self) -> None:
        self.now, self.writer, self.audit = START, FakeWriter(), FakeAudit()
        self.faults = UpdateFaults()
        self.objects = asyncio.run(_make_objects(self.faults))
        permitted = PermittedClients(["127.0.0.0/8"])
        self.services = EventServices(self.objects, permitted, self.writer, self.audit)

    @property
    def stamp(self) -> Any:
        return list(self.objects.by_number[NUMBER].object.eventTimeStamps)[TO_OFFNORMAL]

    def record(self, *alarms: AlarmItem, seconds: float = 1, utc: bool = True) -> list[Transition]:
        self.now += dt.timedelta(seconds=seconds)
        return self.objects.update(alarms, self.now if utc else None, stale=False)

    def acknowledge(self, stamp: Any, name: str = "admin") -> str:
        """Return the error; "": none."""
        request = AcknowledgeAlarmRequest(
            acknowledgingProcessIdentifier=1,
            eventObjectIdentifier=("binary-value", NUMBER),
            eventStateAcknowledged="offnormal",
            timeStamp=stamp,
            acknowledgmentSource=name,
            timeOfAcknowledgment=time_stamp(self.now),
        )
        request.pduSource = Address("127.0.0.9:47808")
        try:
            self.services.acknowledge(request)
        except ExecutionError as error:
            return str(error.errorCode)
        return ""

    @property
    def sent(self) -> list[Any]:
        return [request[0].arguments["code"] for request in self.writer.requests]  # type: ignore[union-attr]


def _alarm(pump: str, state: str, at: dt.datetime | None, ago_ms: int = 0) -> AlarmItem:
    return AlarmItem(
        NUMBER, CODE, pump, 2, state, "tripped", "Look.", raised_utc=at, raised_ago_ms=ago_ms,
        cleared_utc=START if state == ENDED else None,
    )  # fmt: skip


def _states(found: list[Transition]) -> list[tuple[str, str, bool]]:
    return [(t.from_state, t.to_state, t.acked) for t in found]


@pytest.mark.parametrize("first_state", [WAITING, ACKNOWLEDGED])
def test_a_second_alarm_of_a_number_is_an_event_of_its_own(first_state: str) -> None:
    bench = _AlarmBench()
    assert _states(bench.record(_alarm("pump1", WAITING, START))) == [
        ("normal", "offnormal", False)
    ]
    old = bench.stamp
    bench.record(_alarm("pump1", first_state, START, 1000))
    second = START + dt.timedelta(seconds=36)
    pumps = (_alarm("pump1", first_state, START, 36_000), _alarm("pump2", WAITING, second))
    assert _states(bench.record(*pumps)) == [("offnormal", "offnormal", False)]
    assert bench.stamp == time_stamp(second)
    assert list(bench.objects.by_number[NUMBER].object.ackedTransitions) == [0, 1, 1]
    assert bench.acknowledge(old) == "invalidTimeStamp"
    assert bench.sent == []
    later = (_alarm("pump1", first_state, START, 37_000), _alarm("pump2", WAITING, second, 1000))
    assert bench.record(*later) == [], "each alarm once"
    assert bench.acknowledge(bench.stamp) == ""
    assert f"{CODE}:pump2" in bench.sent


@pytest.mark.parametrize("utc", [True, False])
def test_alarms_without_a_time_of_their_own_have_a_new_stamp(*, utc: bool) -> None:
    """The clock was not known when they were raised."""
    bench = _AlarmBench()
    bench.record(_alarm("pump1", WAITING, START))
    old = bench.stamp
    both = (_alarm("pump1", WAITING, START, 9000), _alarm("pump2", WAITING, None))
    assert len(bench.record(*both, utc=utc)) == 1
    assert bench.stamp != old
    assert bench.acknowledge(old) == "invalidTimeStamp"


def test_two_alarms_in_one_hundredth_of_a_second_have_two_stamps() -> None:
    bench = _AlarmBench()
    bench.record(_alarm("pump1", WAITING, START))
    old = bench.stamp
    both = (_alarm("pump1", WAITING, START, 1000), _alarm("pump2", WAITING, START, 1000))
    assert len(bench.record(*both)) == 1
    assert bench.acknowledge(old) == "invalidTimeStamp"


def test_an_alarm_that_is_raised_again_between_two_records_is_an_event() -> None:
    bench = _AlarmBench()
    bench.record(_alarm("pump1", WAITING, START, 5000))
    again = START + dt.timedelta(seconds=0.7)
    found = bench.record(_alarm("pump1", WAITING, again, 300))
    assert _states(found) == [("offnormal", "offnormal", False)]
    assert bench.stamp == time_stamp(again)


def test_an_alarm_that_returns_beside_another_one_is_an_event() -> None:
    bench = _AlarmBench()
    bench.record(_alarm("pump1", WAITING, START), _alarm("pump2", WAITING, START))
    ended = (_alarm("pump1", WAITING, START, 2000), _alarm("pump2", ENDED, START, 2000))
    assert bench.record(*ended) == []
    assert bench.record(ended[0], _alarm("pump2", "shelved", START, 3000)) == []
    again = _alarm("pump2", WAITING, START, 4000)
    assert _states(bench.record(ended[0], again)) == [("offnormal", "offnormal", False)]


def test_a_stop_of_the_agent_is_no_new_alarm() -> None:
    bench = _AlarmBench()
    alarms = (_alarm("pump1", WAITING, START, 1000), _alarm("pump2", WAITING, START, 1000))
    bench.record(*alarms)
    assert bench.objects.update((), None, stale=True) == []
    later = [_alarm(name, WAITING, START, 9000) for name in ("pump1", "pump2")]
    assert bench.record(*later) == []


def test_an_acknowledgement_after_the_end_of_the_alarm_is_notified() -> None:
    """The alarm leaves the record when it is acknowledged."""
    bench = _AlarmBench()
    bench.record(_alarm("pump1", WAITING, START))
    assert _states(bench.record(_alarm("pump1", ENDED, START))) == [("offnormal", "normal", False)]
    (found,) = bench.record()
    assert (found.to_state, found.acked) == ("offnormal", True)
    assert "pump1" in found.text
    assert bench.record() == []


def test_the_user_of_an_acknowledgement_is_the_address_and_not_a_text_of_the_client() -> None:
    bench = _AlarmBench()
    bench.record(_alarm("pump1", WAITING, START))
    hostile = "admin\x1b[1A\n"
    assert bench.acknowledge(bench.stamp, hostile) == ""
    assert bench.acknowledge(time_stamp(START - dt.timedelta(1)), hostile) != ""
    assert {request[1] for request in bench.writer.requests} == {"127.0.0.9"}
    entries = bench.audit.entries
    assert [entry[0] for entry in entries] == ["127.0.0.9"] * 2
    assert [entry[5] for entry in entries] == ["accepted", "refused: invalidTimeStamp"]
    for entry in entries:
        assert "in the name of 'admin" in entry[4], "still in the log, as what it is"
        assert entry[4].isprintable()
