# SPDX-License-Identifier: Apache-2.0
"""Services of alarms: GetEventInformation, AcknowledgeAlarm, event notifications.

bacpypes3 0.0.110 has no handler of these services (ANSI/ASHRAE 135, clauses 13.5, 13.8, 13.12). An
acknowledgement goes to the agent as a command; the object shows it when the agent has accepted it.
Only clients of the permitted networks can acknowledge.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bacpypes3.apdu import (
    AcknowledgeAlarmRequest,
    ConfirmedEventNotificationRequest,
    ErrorPDU,
    GetEventInformationACK,
    GetEventInformationRequest,
    RejectPDU,
    SimpleAckPDU,
    UnconfirmedEventNotificationRequest,
)
from bacpypes3.basetypes import (
    Destination,
    DeviceAddress,
    GetEventInformationEventSummary,
    NotificationParameters,
    NotificationParametersChangeOfState,
    PropertyStates,
    Recipient,
)
from bacpypes3.errors import ExecutionError
from bacpypes3.pdu import Address

from deploy.northbound.access.types import AuditSink, Refusal, UnitCommand, WriteAccess
from deploy.northbound.bacnet.alarm_objects import (
    TO_NORMAL,
    TO_OFFNORMAL,
    AlarmObject,
    AlarmObjects,
    Transition,
    same_time,
)
from deploy.northbound.bacnet.clients import PROTOCOL, PermittedClients, peer_of
from deploy.northbound.process.notifications import CountFile, NotificationQueue
from deploy.northbound.process.supervisor import keep_running
from deploy.ops.private_file import StateFile, load_state

_SUMMARIES = 20
"""Events in one reply; the client asks for the next ones (about 45 bytes each)."""
_CHANGE_OF_STATE = 1  # BACnetEventType
_LONGEST_SOURCE = 40
_PASSING_REJECTS = (0, 1)  # other, buffer-overflow
_FINAL_ERRORS = (7, 13, 16, 45, 47, 57, 60, 61, 62, 63, 64, 65, 66, 67, 80)
"""BACnetErrorCode: the form of a request is wrong, or its function is not supported."""
_LONGEST_WAIT_S = 60.0
"""Longest time for an answer; the retries of bacpypes3 end after 12 s."""


def make_destination(text: str, process: int = 1, confirmed: bool = True) -> Destination:
    """Return the receiver of notifications at HOST:PORT, all days and all transitions."""
    address = Address(text)
    return Destination(
        validDays=[1] * 7,
        fromTime=(0, 0, 0, 0),
        toTime=(23, 59, 59, 99),
        recipient=Recipient(
            address=DeviceAddress(networkNumber=0, macAddress=bytes(address.addrAddr))
        ),
        processIdentifier=process,
        issueConfirmedNotifications=confirmed,
        transitions=[1, 1, 1],
    )


class EventServices:
    """Handlers of the alarm services; `BacnetDevice` calls them. `sleep`: for pauses, s."""

    def __init__(
        self,
        alarms: AlarmObjects,
        permitted: PermittedClients,
        writer: WriteAccess | None,
        audit: AuditSink,
        state: Path | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self._alarms, self._permitted, self._writer, self._audit = alarms, permitted, writer, audit
        self._queues: dict[tuple[bytes, int], NotificationQueue[Transition]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._known = None if state is None else state / "bacnet-alarms.json"
        self._file = None if self._known is None else StateFile(self._known)
        self._counts = None if state is None else CountFile(state, PROTOCOL)

    def event_information(self, request: GetEventInformationRequest) -> GetEventInformationACK:
        """Return the next objects that are not normal or wait for an acknowledgement."""
        reported = [a for a in self._alarms.by_number.values() if a.is_reported]
        last = request.lastReceivedObjectIdentifier
        if last is not None:
            found = self._alarms.find(last)
            number = -1 if found is None else found.number
            reported = [a for a in reported if a.number > number]
        page = sorted(reported, key=lambda a: a.number)[:_SUMMARIES]
        return GetEventInformationACK(
            listOfEventSummaries=[_summary(alarm) for alarm in page],
            moreEvents=len(reported) > len(page),
            context=request,
        )

    def acknowledge(self, request: AcknowledgeAlarmRequest) -> SimpleAckPDU:
        """Send an acknowledgement to the agent. Raises ExecutionError: the reason of the error.

        The user in the audit log is the address. The name that the client gives is no proof.
        """
        peer = peer_of(request)
        name = str(request.acknowledgmentSource)[:_LONGEST_SOURCE]
        target = f"{request.eventObjectIdentifier} in the name of {name!r}"
        try:
            alarm = self._check(request)
            self._submit(alarm, peer.host)
        except Exception as error:
            word = error.errorCode if isinstance(error, ExecutionError) else type(error).__name__
            result = f"refused: {word}"
            self._audit.record(peer.user, peer.host, PROTOCOL, "acknowledge", target, result)
            raise
        self._audit.record(peer.user, peer.host, PROTOCOL, "acknowledge", target, "accepted")
        return SimpleAckPDU(context=request)

    def _check(self, request: AcknowledgeAlarmRequest) -> AlarmObject:
        if self._writer is None or not self._permitted.has(peer_of(request)):
            raise ExecutionError("services", "serviceRequestDenied")
        alarm = self._alarms.find(request.eventObjectIdentifier)
        if alarm is None:
            raise ExecutionError("object", "unknownObject")
        state = int(request.eventStateAcknowledged)
        transition = {0: TO_NORMAL, 2: TO_OFFNORMAL}.get(state)
        if transition is None:
            raise ExecutionError("services", "invalidEventState")
        if not same_time(request.timeStamp, list(alarm.object.eventTimeStamps)[transition]):
            raise ExecutionError("services", "invalidTimeStamp")
        if tuple(alarm.object.ackedTransitions)[transition]:
            raise ExecutionError("services", "invalidEventState")
        return alarm

    def _submit(self, alarm: AlarmObject, source: str) -> None:
        """Acknowledge each source of the number; an error if the first is refused."""
        waiting = [i for i in alarm.items if i.state.endswith("_unacknowledged")]
        for item in waiting:
            command = UnitCommand("acknowledge", {"code": item.id})
            answer = (
                self._writer.submit(command, source, source, PROTOCOL) if self._writer else None
            )
            if answer is None or isinstance(answer, Refusal):
                raise ExecutionError("services", "serviceRequestDenied")

    def notify(self, transition: Transition, device: Any, send: Callable[[Any], Any]) -> None:
        """Send a notification to the recipients of its class; again until each one has confirmed.

        `send` returns the future of the answer, or None.
        """
        alarm = transition.alarm
        (found,) = [
            notification_class
            for notification_class in self._alarms.classes
            if notification_class.notificationClass == alarm.notification_class
        ]
        for destination in found.recipientList:
            if not destination.issueConfirmedNotifications:
                send(make_notification(transition, device, destination))
                continue
            name = f"{alarm.number} seen" if transition.acked else str(alarm.number)
            self._queue_of(destination, device, send).put(name, transition)

    def _queue_of(
        self, destination: Destination, device: Any, send: Callable[[Any], Any]
    ) -> NotificationQueue[Transition]:
        """Return the queue of a recipient; its task sends until the server ends."""
        mac = bytes(destination.recipient.address.macAddress)
        key = mac, int(destination.processIdentifier)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = NotificationQueue(PROTOCOL, str(Address(mac)), self._sleep)

            async def deliver(transition: Transition) -> bool | None:
                return await _confirmed(send(make_notification(transition, device, destination)))

            work = keep_running(f"delivery to {Address(mac)}", lambda: queue.run(deliver))
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return queue

    def load(self) -> None:
        """Set the alarms that recipients know as active: their end is then a transition."""
        none: list[object] = []
        for number in load_state(self._known, list, none):
            if type(number) is int and number in self._alarms.by_number:
                self._alarms.by_number[number].object.eventState = "offnormal"

    def save(self) -> None:
        """Write which alarms recipients know as active, and the counts, if they have changed."""
        if self._file is None or self._counts is None or not self._queues:
            return
        waiting = {name for queue in self._queues.values() for name in queue.names()}
        alarms = self._alarms.by_number.items()
        numbers = [n for n, alarm in alarms if alarm.object.eventState != 0 or str(n) in waiting]
        self._file.write(json.dumps(numbers))
        self._counts.write([queue.counts for queue in self._queues.values()])

    def close(self) -> None:
        """End the tasks."""
        for task in self._tasks:
            task.cancel()


async def _confirmed(future: Any) -> bool | None:
    """Return whether a recipient has confirmed; None: it can never do so.

    bacpypes3 gives an error, a reject and an abort as exceptions that are no `Exception`. Its own
    abort no-response means that there was no answer after its retries.
    """
    if future is None:
        return False
    await asyncio.wait([future], timeout=_LONGEST_WAIT_S)  # raises nothing of the future
    if not future.done() or future.cancelled():
        future.cancel()  # a request that the library could not send has no answer and no end
        return False
    answer = future.exception() or future.result()
    return None if _is_final(answer) else isinstance(answer, SimpleAckPDU)


def _is_final(answer: Any) -> bool:
    """Return whether an answer says that a recipient does not know such notifications.

    All else, such as configuration-in-progress, can be another answer later, so the notification is
    sent again: an alarm that is lost costs more than a repetition.
    """
    if isinstance(answer, RejectPDU):
        return answer.apduAbortRejectReason not in _PASSING_REJECTS
    code = getattr(answer, "errorCode", None) if isinstance(answer, ErrorPDU) else None
    return code is not None and int(code) in _FINAL_ERRORS


def make_notification(transition: Transition, device: Any, destination: Destination) -> Any:
    """Return the notification of a transition for one recipient."""
    alarm, target = transition.alarm, transition.alarm.object
    confirmed = bool(destination.issueConfirmedNotifications)
    kind = ConfirmedEventNotificationRequest if confirmed else UnconfirmedEventNotificationRequest
    index = TO_OFFNORMAL if transition.to_state == "offnormal" else TO_NORMAL
    message = kind(
        processIdentifier=destination.processIdentifier,
        initiatingDeviceIdentifier=device,
        eventObjectIdentifier=alarm.identifier,
        timeStamp=list(target.eventTimeStamps)[index],
        notificationClass=alarm.notification_class,
        priority=alarm.priority,
        eventType=_CHANGE_OF_STATE,
        messageText=transition.text,
        notifyType="ack-notification" if transition.acked else "alarm",
        toState=transition.to_state,
    )
    if not transition.acked:
        message.ackRequired = index == TO_OFFNORMAL
        message.fromState = transition.from_state
        message.eventValues = NotificationParameters(
            changeOfState=NotificationParametersChangeOfState(
                newState=PropertyStates(binaryValue=target.presentValue),
                statusFlags=target.statusFlags,
            )
        )
    message.pduDestination = Address(bytes(destination.recipient.address.macAddress))
    return message


def _summary(alarm: AlarmObject) -> GetEventInformationEventSummary:
    target = alarm.object
    return GetEventInformationEventSummary(
        objectIdentifier=alarm.identifier,
        eventState=target.eventState,
        acknowledgedTransitions=target.ackedTransitions,
        eventTimeStamps=list(target.eventTimeStamps),
        notifyType=target.notifyType,
        eventEnable=target.eventEnable,
        eventPriorities=[alarm.priority] * 3,
    )
