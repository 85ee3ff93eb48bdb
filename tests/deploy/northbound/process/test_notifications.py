# SPDX-License-Identifier: Apache-2.0
"""Notifications are kept until their receiver confirms them: queue, restart of a server, counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from deploy.doctor.finding import GOOD, WARNING
from deploy.northbound.access.types import FakeAudit
from deploy.northbound.bacnet.alarm_objects import AlarmObjects
from deploy.northbound.bacnet.clients import PermittedClients
from deploy.northbound.bacnet.event_services import EventServices, make_destination
from deploy.northbound.bacnet.update_faults import UpdateFaults
from deploy.northbound.metrics import metrics_text
from deploy.northbound.process.notifications import (
    LONGEST_PAUSE_S,
    MOST_WAITING,
    CountFile,
    NotificationCounts,
    NotificationQueue,
    read_counts,
)
from deploy.northbound.snapshot import AlarmItem, Snapshot
from deploy.northbound.snmp.informs import AlarmChanges, Inform, InformSender, KnownFile
from tests.deploy.northbound.process.test_doctor_northbound import results

ALARM = AlarmItem(202, "supply_high", "", 1, "active_unacknowledged", "hot", "Look.")
ENDED = replace(ALARM, state="cleared_unacknowledged")
OTHER = replace(ALARM, name="rack 2")


class _Receiver:
    """Confirms while it is `up`. The pauses pass immediately; `meanwhile` runs in each one."""

    def __init__(self) -> None:
        self.up = True
        self.got: list[object] = []
        self.pauses: list[float] = []
        self.meanwhile: Callable[[int], object] = lambda _: None

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.meanwhile(len(self.pauses))
        await asyncio.sleep(0)

    async def send(self, notice: object) -> bool | None:
        if self.up:
            self.got.append(notice)
        return self.up

    def deliver(self, queue: NotificationQueue[object], send: object = None) -> None:
        """Run a queue until all is confirmed."""

        async def run() -> None:
            task = asyncio.ensure_future(queue.run(send or self.send))  # type: ignore[arg-type]
            async with asyncio.timeout(20):
                while queue.counts.waiting:  # noqa: ASYNC110 - no event of it
                    await asyncio.sleep(0)
            task.cancel()

        asyncio.run(run())


def _queue(receiver: _Receiver) -> NotificationQueue[object]:
    return NotificationQueue("snmp", "10.0.0.9:162", receiver.sleep)


def test_a_receiver_that_answers_gets_each_notification_in_order() -> None:
    receiver = _Receiver()
    queue = _queue(receiver)
    for number in range(9):
        queue.put("a", number)
    receiver.deliver(queue)
    assert receiver.got == list(range(9))
    assert queue.counts == NotificationCounts("snmp", "10.0.0.9:162", confirmed=9)


def test_a_receiver_that_comes_back_gets_the_newest_state_of_each_alarm() -> None:
    receiver = _Receiver()
    queue = _queue(receiver)
    receiver.up = False
    queue.put("a", "a raised")
    queue.put("b", "b raised")

    def meanwhile(pause: int) -> None:
        if pause == 3:
            queue.put("a", "a cleared")
            queue.put("c", "c raised")
        receiver.up = pause == 12

    receiver.meanwhile = meanwhile
    receiver.deliver(queue)
    assert sorted(map(str, receiver.got)) == ["a cleared", "b raised", "c raised"]
    assert receiver.pauses[:4] == [2, 4, 8, 16]
    assert max(receiver.pauses) == LONGEST_PAUSE_S
    assert (queue.counts.failed, queue.counts.replaced, queue.counts.dropped) == (12, 1, 0)


def test_a_new_alarm_does_not_wait_for_the_end_of_a_long_pause() -> None:
    """The receiver can be back; a dead one is not asked more often than each 2 s."""
    pauses: list[float] = []
    receiver = _Receiver()

    async def run() -> None:
        passed = asyncio.Event()

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                passed.set()
                await asyncio.Event().wait()  # the pause of 8 s would not end
            await asyncio.sleep(0)

        queue: NotificationQueue[object] = NotificationQueue("snmp", "10.0.0.9:162", sleep)
        receiver.up = False
        queue.put("a", "a raised")
        task = asyncio.ensure_future(queue.run(receiver.send))
        async with asyncio.timeout(20):
            await passed.wait()
            receiver.up = True
            queue.put("b", "b raised")
            while queue.counts.waiting:  # noqa: ASYNC110 - no event of it
                await asyncio.sleep(0)
        task.cancel()

    asyncio.run(run())
    assert receiver.got == ["a raised", "b raised"]
    assert pauses[:3] == [2, 4, 8]
    assert len(pauses) == 4
    assert 1.5 < pauses[3] <= 2


def test_one_that_cannot_be_sent_keeps_no_other_back() -> None:
    receiver = _Receiver()
    queue = _queue(receiver)
    for name in "abc":
        queue.put(name, name)

    async def send(notice: object) -> bool | None:
        receiver.got.append(notice)
        return {"a": len(receiver.got) > 4, "b": True, "c": None}[str(notice)]

    receiver.deliver(queue, send)
    assert receiver.got[:3] == ["a", "b", "c"]
    assert (queue.counts.confirmed, queue.counts.dropped) == (2, 1)


def test_the_store_is_bounded() -> None:
    queue = _queue(_Receiver())
    for number in range(1000):
        queue.put("toggles", number)
    for number in range(300):
        queue.put(f"alarm {number}", number)
    assert queue.counts.waiting == MOST_WAITING == len(queue.names())
    assert queue.counts.dropped == 301 - MOST_WAITING


def _snapshot(*alarms: AlarmItem) -> Snapshot:
    return Snapshot(stale=False, alarms=alarms, uptime_us=9)


def _restart(path: Path, before: tuple[AlarmItem, ...], after: tuple[AlarmItem, ...]) -> list[str]:
    """Return the informs of the first record after a restart of the server."""
    changes = AlarmChanges(KnownFile(path).load())
    changes.update(_snapshot(*before))
    KnownFile(path).save(changes.known())
    changes = AlarmChanges(KnownFile(path).load())
    assert changes.update(Snapshot()) == []
    KnownFile(path).save(changes.known())
    return [f"{i.kind} {i.alarm.id}" for i in changes.update(_snapshot(*after))]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((ALARM,), (), ["2 supply_high"]),
        ((ALARM,), (ENDED,), ["2 supply_high"]),
        ((ALARM,), (ALARM,), ["1 supply_high"]),
        ((ALARM, OTHER), (OTHER,), ["2 supply_high", "1 supply_high:rack 2"]),
        ((ENDED,), (), []),
        ((), (), []),
    ],
)
def test_an_alarm_that_ends_while_the_server_is_down_is_reported(
    tmp_path: Path,
    before: tuple[AlarmItem, ...],
    after: tuple[AlarmItem, ...],
    expected: list[str],
) -> None:
    assert _restart(tmp_path / "known.json", before, after) == expected


def test_an_open_end_is_reported_after_a_restart(tmp_path: Path) -> None:
    path, sender = tmp_path / "known.json", InformSender("10.0.0.9:162", tmp_path)
    changes = AlarmChanges()
    for record in (_snapshot(ALARM), _snapshot()):
        for inform in changes.update(record):
            sender.put(inform)
    KnownFile(path).save(changes.known(sender.queue.names()))
    (found,) = AlarmChanges(KnownFile(path).load()).update(_snapshot())
    assert (found.kind, found.alarm.id, found.index) == (2, "supply_high", (202, 1))
    assert changes.known() == {}, "all is confirmed"


def test_an_acknowledgement_replaces_no_raise(tmp_path: Path) -> None:
    sender = InformSender("10.0.0.9:162", tmp_path)
    sender.queue.is_down = True
    for kind, alarm in ((1, ALARM), (3, replace(ALARM, state="active_acknowledged"))):
        sender.put(Inform(kind, (202, 1), alarm))
    assert sender.queue.counts.waiting == 2


@pytest.mark.parametrize("text", ["", "{", "[[1]]", "[1]", '{"a": 1}', "[" * 100_000])
def test_a_damaged_file_knows_no_alarm(tmp_path: Path, text: str) -> None:
    path = tmp_path / "known.json"
    path.write_text(text)
    assert KnownFile(path).load() == {}
    (tmp_path / "notifications-snmp.json").write_text(text)
    assert list(read_counts(tmp_path)) == []


def test_the_counts_are_in_the_metrics_and_in_doctor(tmp_path: Path) -> None:
    down = NotificationCounts("snmp", "10.0.0.9:162", 7, 4, 2, 1, 3)
    up = NotificationCounts("bacnet", "10.0.0.8:47808", 5)
    for entry in (down, up):
        CountFile(tmp_path, entry.protocol).write([entry])
    text = metrics_text(Snapshot(), open_metrics=True, counts=read_counts(tmp_path))
    parse: Any = text_string_to_metric_families
    families = {family.name: family.samples for family in parse(text)}
    totals = {
        (s.labels["protocol"], s.labels["result"]): s.value
        for s in families["coldloop_notifications"]
    }
    assert totals["snmp", "failed"] == 4
    assert totals["bacnet", "confirmed"] == 5
    assert [s.value for s in families["coldloop_notifications_waiting"]] == [3, 0]
    http = {"address": "127.0.0.1"}
    state = tmp_path / "state"
    state.mkdir()
    for name in ("snmp", "bacnet"):
        (tmp_path / f"notifications-{name}.json").rename(state / f"notifications-{name}.json")
    found = results(tmp_path, http=http, state=str(state))
    assert (found["snmp"].verdict, found["bacnet"].verdict) == (WARNING, GOOD)
    assert "10.0.0.9:162: 7 alarms confirmed; 1 lost, 3 wait" in found["snmp"].text


class _Recipient:
    """A BACnet recipient; `answers`: whether it confirms."""

    def __init__(self, folder: Path) -> None:
        self.sent: list[tuple[int, str]] = []
        self.answers = True
        self.error: BaseException | None = None
        self.folder = folder

    def send(self, message: object) -> Awaitable[object]:
        from bacpypes3.apdu import SimpleAckPDU  # noqa: PLC0415

        future = asyncio.get_running_loop().create_future()
        number = message.eventObjectIdentifier[1]  # type: ignore[attr-defined]
        if self.answers:
            self.sent.append((number, str(message.toState)))  # type: ignore[attr-defined]
            future.set_result(SimpleAckPDU(context=message))
        else:
            future.set_exception(self.error or TimeoutError())
        return future

    async def run(self, *records: tuple[AlarmItem, ...]) -> None:
        """Run a server with these records, then end it."""
        alarms = AlarmObjects([make_destination("10.0.0.8:47808")], UpdateFaults())
        events = EventServices(alarms, PermittedClients(()), None, FakeAudit(), self.folder)
        events.load()
        for record in records:
            for transition in alarms.update(record, None, False):
                events.notify(transition, ("device", 1), self.send)
            for _ in range(20):
                await asyncio.sleep(0)
            events.save()
        events.close()
        await asyncio.sleep(0)


def test_a_bacnet_recipient_gets_the_end_of_before_a_restart(tmp_path: Path) -> None:
    recipient = _Recipient(tmp_path)
    leak = AlarmItem(103, "leak_warning", "tray", 2, "active_unacknowledged", "wet", "Look.")
    asyncio.run(recipient.run((leak,)))
    assert recipient.sent == [(103, "offnormal")]
    asyncio.run(recipient.run(()))
    assert recipient.sent[1:] == [(103, "normal")]
    asyncio.run(recipient.run(()))
    assert len(recipient.sent) == 2
    recipient.answers = False
    asyncio.run(recipient.run((leak,), ()))
    (count,) = read_counts(tmp_path)
    assert (count.protocol, count.waiting) == ("bacnet", 1)
    recipient.answers = True
    asyncio.run(recipient.run(()))
    assert recipient.sent[2:] == [(103, "normal")]
    assert json.loads((tmp_path / "bacnet-alarms.json").read_text()) == []


@pytest.mark.parametrize("reason", [0, 9, 65])
def test_an_abort_or_no_answer_of_a_bacnet_recipient_ends_no_delivery(
    tmp_path: Path, reason: int
) -> None:
    """The library gives both as an AbortPDU, which is no `Exception`."""
    from bacpypes3.apdu import AbortPDU  # noqa: PLC0415

    recipient = _Recipient(tmp_path)
    leak = AlarmItem(103, "leak_warning", "tray", 2, "active_unacknowledged", "wet", "Look.")

    async def run() -> None:
        pauses: list[float] = []

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)
            recipient.answers = len(pauses) == 3
            await asyncio.sleep(0)

        recipient.answers, recipient.error = False, AbortPDU(reason=reason)
        alarms = AlarmObjects([make_destination("10.0.0.8:47808")], UpdateFaults())
        events = EventServices(
            alarms, PermittedClients(()), None, FakeAudit(), tmp_path, sleep=sleep
        )
        for record in ((leak,), ()):
            for transition in alarms.update(record, None, False):
                events.notify(transition, ("device", 1), recipient.send)
            for _ in range(50):
                await asyncio.sleep(0)
            events.save()
            (count,) = read_counts(tmp_path)
            assert count.waiting == 0
        assert pauses == [2, 4, 8]
        assert recipient.sent == [(103, "offnormal"), (103, "normal")]
        events.close()

    asyncio.run(run())


def _error(kind: str, code: str) -> BaseException:
    """Return an error as bacpypes3 gives it, which is no `Exception`."""
    from bacpypes3.apdu import Error  # noqa: PLC0415

    found: BaseException = Error(errorClass=kind, errorCode=code, service_choice=2)
    return found


def _reject(reason: str) -> BaseException:
    from bacpypes3.apdu import RejectPDU  # noqa: PLC0415

    found: BaseException = RejectPDU(reason=reason)
    return found


@pytest.mark.parametrize(
    ("answer", "is_final"),
    [
        (lambda: _error("device", "configuration-in-progress"), False),
        (lambda: _error("device", "device-busy"), False),
        (lambda: _error("device", "operational-problem"), False),
        (lambda: _error("device", "internal-error"), False),
        (lambda: _error("resources", "no-space-for-object"), False),
        (lambda: _error("resources", "out-of-memory"), False),
        (lambda: _error("services", "service-request-denied"), False),
        (lambda: _error("object", "unknown-object"), False),
        (lambda: _error("services", "other"), False),
        (lambda: _reject("other"), False),
        (lambda: _reject("buffer-overflow"), False),
        (lambda: _reject("unrecognized-service"), True),
        (lambda: _reject("invalid-tag"), True),
        (lambda: _error("services", "optional-functionality-not-supported"), True),
        (lambda: _error("services", "inconsistent-parameters"), True),
    ],
)
def test_a_bacnet_recipient_that_is_not_ready_gets_the_alarm_later(
    tmp_path: Path, answer: Callable[[], BaseException], is_final: bool
) -> None:
    """Once, as at its start; only an answer that cannot change ends the delivery."""
    recipient = _Recipient(tmp_path)
    leak = AlarmItem(103, "leak_warning", "tray", 2, "active_unacknowledged", "wet", "Look.")

    async def run() -> None:
        async def sleep(_seconds: float) -> None:
            recipient.answers = True
            await asyncio.sleep(0)

        recipient.answers, recipient.error = False, answer()
        alarms = AlarmObjects([make_destination("10.0.0.8:47808")], UpdateFaults())
        events = EventServices(
            alarms, PermittedClients(()), None, FakeAudit(), tmp_path, sleep=sleep
        )
        for transition in alarms.update((leak,), None, False):
            events.notify(transition, ("device", 1), recipient.send)
        for _ in range(50):
            await asyncio.sleep(0)
        events.save()
        events.close()

    asyncio.run(run())
    (count,) = read_counts(tmp_path)
    assert recipient.sent == ([] if is_final else [(103, "offnormal")])
    assert (count.dropped, count.waiting) == (int(is_final), 0)


def test_a_bacnet_request_without_an_end_is_a_failed_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.northbound.bacnet.event_services._LONGEST_WAIT_S", 0.01)
    recipient = _Recipient(tmp_path)
    leak = AlarmItem(103, "leak_warning", "tray", 2, "active_unacknowledged", "wet", "Look.")
    lost: list[asyncio.Future[object]] = []

    def send(message: object) -> Awaitable[object]:
        if lost:
            return recipient.send(message)
        lost.append(asyncio.get_running_loop().create_future())
        return lost[0]

    async def run() -> None:
        alarms = AlarmObjects([make_destination("10.0.0.8:47808")], UpdateFaults())
        events = EventServices(
            alarms, PermittedClients(()), None, FakeAudit(), tmp_path,
            sleep=lambda _: asyncio.sleep(0),
        )  # fmt: skip
        for transition in alarms.update((leak,), None, False):
            events.notify(transition, ("device", 1), send)
        async with asyncio.timeout(10):
            while not recipient.sent:  # noqa: ASYNC110 - no event of it
                await asyncio.sleep(0.01)
        assert lost[0].cancelled()
        events.close()

    asyncio.run(run())
