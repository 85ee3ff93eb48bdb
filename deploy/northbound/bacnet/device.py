# SPDX-License-Identifier: Apache-2.0
"""The BACnet device: services, what it refuses, limits.

Without `writer` all writes get WRITE_ACCESS_DENIED. With it, Present_Value of the two set-points
can be written from the permitted networks; the object has the value in force, also during a trial.
DeviceCommunicationControl is not executed: BACnet/IP has no proof of identity, and the
service makes a device silent. `request_check` rejects it. `subscriptions` has those of COV. The
device is no BBMD, routes nothing and keeps no table of other devices.

Does not know values; see `point_objects` and `alarm_objects`.
"""

import datetime as dt
import logging
from pathlib import Path
from typing import Any

from bacpypes3.apdu import (
    AcknowledgeAlarmRequest,
    GetEventInformationRequest,
    IAmRequest,
    IHaveRequest,
    ReadPropertyRequest,
    ReadRangeRequest,
    RejectPDU,
    SimpleAckPDU,
    WritePropertyMultipleError,
    WritePropertyRequest,
)
from bacpypes3.app import DeviceInfoCache
from bacpypes3.appservice import AWAIT_RESPONSE, IDLE, SEGMENTED_RESPONSE
from bacpypes3.basetypes import ErrorType, ObjectPropertyReference, ServicesSupported
from bacpypes3.comm import bind
from bacpypes3.errors import ExecutionError
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.networkport import NetworkPortObject
from bacpypes3.primitivedata import Date, Real, Time

from deploy.northbound.access.types import AuditSink, SetPointChange, WriteAccess
from deploy.northbound.bacnet.alarm_objects import AlarmObjects, date_time
from deploy.northbound.bacnet.clients import PROTOCOL, PermittedClients, peer_of, sender_of
from deploy.northbound.bacnet.datagram_filter import PERMITTED, RECIPIENTS, DatagramFilter
from deploy.northbound.bacnet.event_services import EventServices
from deploy.northbound.bacnet.point_objects import PointObjects
from deploy.northbound.bacnet.request_check import RequestCheck
from deploy.northbound.bacnet.router_cache import NoRouterCache
from deploy.northbound.bacnet.set_points import SetPointWrites
from deploy.northbound.bacnet.subscriptions import SubscriptionServices, ignore_result
from deploy.northbound.bacnet.trend_log import TrendLogs
from deploy.northbound.bacnet.update_faults import UpdateFaults
from deploy.northbound.rate_limit import OTHERS
from deploy.northbound.snapshot import Snapshot

_MAX_UNANSWERED = 128
_LOWEST_PRIORITY = 16
_ANY_INSTANCE = 4194303
SERVICES = (
    "acknowledgeAlarm",
    "subscribeCOV",
    "readProperty",
    "readPropertyMultiple",
    "writeProperty",
    "writePropertyMultiple",
    "readRange",
    "getEventInformation",
    "whoHas",
    "whoIs",
    "iAm",
    "iHave",
)
"""Services that the device executes or, the last two, initiates."""
OBJECT_TYPES = (
    "analogInput",
    "analogValue",
    "binaryInput",
    "binaryValue",
    "device",
    "multiStateValue",
    "networkPort",
    "notificationClass",
    "positiveIntegerValue",
    "trendLog",
)

logging.getLogger("bacpypes3").setLevel(logging.CRITICAL + 1)  # a trace for each bad datagram


class UnitDevice(DeviceObject):
    """The device object; its time is that of the unit, UTC, unspecified if it is not known."""

    _now: dt.datetime | None = None

    def set_time(self, now: dt.datetime | None) -> None:
        """Set the time of the unit."""
        self._now = now

    @property
    def localDate(self) -> Date:  # noqa: N802 - name of BACnet
        """Return the date in UTC."""
        return date_time(self._now).date

    @property
    def localTime(self) -> Time:  # noqa: N802 - name of BACnet
        """Return the time in UTC."""
        return date_time(self._now).time

    @property
    def protocolObjectTypesSupported(self) -> Any:  # noqa: N802
        """Return the object types of the device."""
        from bacpypes3.basetypes import ObjectTypesSupported  # noqa: PLC0415

        supported = ObjectTypesSupported([])
        for name in OBJECT_TYPES:
            supported[getattr(ObjectTypesSupported, name)] = 1
        return supported


class BacnetDevice(SubscriptionServices):
    """The application. Make it with `make_device`."""

    points: PointObjects
    alarms: AlarmObjects
    trends: TrendLogs
    events: EventServices
    set_points: SetPointWrites | None
    """None: the device is read-only."""
    audit: AuditSink
    executed: int
    """Requests that reached a service that changes the device."""

    def get_services_supported(self) -> ServicesSupported:
        """Return the services that are not refused always."""
        supported = ServicesSupported([])
        for name in SERVICES:
            supported[getattr(ServicesSupported, name)] = 1
        return supported

    def update(self, snapshot: Snapshot) -> None:
        """Copy a snapshot into all objects; send notifications. A part that fails stops no other.

        Never raises; `faults` counts what failed.
        """
        parts = [self.points.update, self.trends.add, self._update_state, self._update_alarms]
        for part in parts if self.set_points is None else [*parts, self.set_points.update]:
            try:
                part(snapshot)
            except Exception as error:  # noqa: BLE001 - must not end the server
                self.faults.report(part.__name__, error)

    def _update_state(self, snapshot: Snapshot) -> None:
        device = self.device_object
        device.set_time(snapshot.utc)
        operational = not snapshot.stale
        device.systemStatus = "operational" if operational else "non-operational"

    def _update_alarms(self, snapshot: Snapshot) -> None:
        identifier = self.device_object.objectIdentifier
        for transition in self.alarms.update(snapshot.alarms, snapshot.utc, snapshot.stale):
            try:
                self.events.notify(transition, identifier, self._send)
            except Exception as error:  # noqa: BLE001 - the other recipients get theirs
                self.faults.report(f"event of alarm {transition.alarm.code}", error)
        self.events.save()

    def close(self) -> None:
        """End the deliveries and the socket."""
        self.events.close()
        super().close()

    def _send(self, message: Any) -> Any:
        """Send a notification. A recipient that does not answer is no fault of the device.

        Above a number of unanswered ones the notification is dropped: bacpypes3 searches without
        end for a free invoke id if a recipient has all 256.
        """
        if len(self._requests.get(message.pduDestination, ())) < _MAX_UNANSWERED:
            future = self.request(message)
            future.add_done_callback(ignore_result)
            return future
        return None

    async def finish_datagram(self) -> None:
        """Complete what the library has left open after a datagram."""
        await self._reject_undecoded()
        self._set_first_windows()

    async def _reject_undecoded(self) -> None:
        """Reject the requests that bacpypes3 could not decode; it would wait 3 s for an answer.

        Few are left: `request_check` has rejected what does not fit the parameters of a service.
        All others have their answer when this is called, because no handler waits. A transaction
        that has not begun would stay for ever: bacpypes3 does not remove it after an error.
        """
        transactions = self.asap.serverTransactions
        for transaction in [tr for tr in transactions if tr.state == IDLE]:
            transactions.remove(transaction)
        for transaction in [tr for tr in transactions if tr.state == AWAIT_RESPONSE]:
            reject = RejectPDU(invoke_id=transaction.invokeID, reason="invalid-tag")
            await transaction.confirmation(reject)

    def _set_first_windows(self) -> None:
        """Give a long answer the window of its first segment: without it that is not sent again.

        The library sets it with the first acknowledgement.
        """
        for transaction in self.asap.serverTransactions:
            if transaction.state == SEGMENTED_RESPONSE and transaction.actualWindowSize is None:
                transaction.actualWindowSize = 1

    # Refused or not needed.

    async def do_IAmRequest(self, apdu: IAmRequest) -> None:  # noqa: N802
        """Ignore other devices; the table of bacpypes3 has no limit."""

    async def do_IHaveRequest(self, apdu: IHaveRequest) -> None:  # noqa: N802
        """Ignore other devices."""

    # Reads. Instance 4194303 of the device object is this device (clause 15.5.2).

    async def do_ReadPropertyRequest(self, apdu: ReadPropertyRequest) -> None:  # noqa: N802
        """Answer with a property."""
        apdu.objectIdentifier = self._resolve(apdu.objectIdentifier)
        await super().do_ReadPropertyRequest(apdu)

    async def do_ReadPropertyMultipleRequest(self, apdu: Any) -> None:  # noqa: N802
        """Answer with properties of several objects."""
        for spec in apdu.listOfReadAccessSpecs:
            spec.objectIdentifier = self._resolve(spec.objectIdentifier)
        await super().do_ReadPropertyMultipleRequest(apdu)

    def _resolve(self, identifier: Any) -> Any:
        own = self.device_object.objectIdentifier
        return own if (identifier[0], identifier[1]) == (own[0], _ANY_INSTANCE) else identifier

    # Alarms, logs.

    async def do_GetEventInformationRequest(  # noqa: N802
        self, apdu: GetEventInformationRequest
    ) -> None:
        """Answer with the alarms that are active or wait for an acknowledgement."""
        await self.response(self.events.event_information(apdu))

    async def do_AcknowledgeAlarmRequest(self, apdu: AcknowledgeAlarmRequest) -> None:  # noqa: N802
        """Pass an acknowledgement to the agent."""
        self.executed += 1
        await self.response(self.events.acknowledge(apdu))

    async def do_ReadRangeRequest(self, apdu: ReadRangeRequest) -> None:  # noqa: N802
        """Answer with records of a trend log."""
        known = self.get_object_id(apdu.objectIdentifier) is not None
        await self.response(self.trends.read_range(apdu, known))

    # Writes.

    async def do_WritePropertyRequest(self, apdu: WritePropertyRequest) -> None:  # noqa: N802
        """Write a set-point, or refuse."""
        self.executed += 1
        self._write(apdu, apdu.objectIdentifier, apdu)
        await self.response(SimpleAckPDU(context=apdu))

    async def do_WritePropertyMultipleRequest(self, apdu: Any) -> None:  # noqa: N802
        """Write one set-point; a request with several is refused whole."""
        self.executed += 1
        entries = [
            (spec.objectIdentifier, entry)
            for spec in apdu.listOfWriteAccessSpecs
            for entry in spec.listOfProperties
        ]
        identifier, entry = entries[0] if entries else (("device", 4194303), None)
        try:
            if entry is None or len(entries) != 1:
                target = f"{len(entries)} properties of {identifier}"
                self._record(apdu, "write", target, "refused: writeAccessDenied")
                raise ExecutionError("property", "writeAccessDenied")
            self._write(apdu, identifier, entry)
        except ExecutionError as error:
            reference = ObjectPropertyReference(
                objectIdentifier=identifier,
                propertyIdentifier=getattr(entry, "propertyIdentifier", "present-value"),
            )
            reply = WritePropertyMultipleError(
                errorType=ErrorType(errorClass=error.errorClass, errorCode=error.errorCode),
                firstFailedWriteAttempt=reference,
                context=apdu,
            )
            await self.response(reply)
            return
        await self.response(SimpleAckPDU(context=apdu))

    def _write(self, apdu: Any, identifier: Any, entry: Any) -> None:
        """Submit a set-point. Raises ExecutionError: the error of the reply."""
        target = f"{identifier} {entry.propertyIdentifier}"
        try:
            self._submit(apdu, identifier, entry)
        except ExecutionError as error:
            self._record(apdu, "write", target, f"refused: {error.errorCode}")
            raise
        except Exception as error:
            self._record(apdu, "write", target, f"refused: {type(error).__name__}")
            raise

    def _submit(self, apdu: Any, identifier: Any, entry: Any) -> None:
        if self.get_object_id(identifier) is None:
            raise ExecutionError("object", "unknownObject")
        if entry.priority is not None and not 1 <= int(entry.priority) <= _LOWEST_PRIORITY:
            raise ExecutionError("services", "parameterOutOfRange")
        point = self.points.find(identifier)
        is_value = str(entry.propertyIdentifier) == "present-value"
        if self.set_points is None or not self.permitted.has(peer_of(apdu)):
            raise ExecutionError("property", "writeAccessDenied")
        if point is None or not is_value or not point.row.setpoint:
            raise ExecutionError("property", "writeAccessDenied")
        if entry.propertyArrayIndex is not None:
            raise ExecutionError("property", "propertyIsNotAnArray")
        value_in = getattr(entry, "propertyValue", None) or entry.value
        try:
            value = float(value_in.cast_out(Real))
        except Exception:  # noqa: BLE001 - any bytes: the library has several errors
            raise ExecutionError("property", "invalidDataType") from None
        low, high = float(point.object.minPresValue), float(point.object.maxPresValue)
        if not low <= value <= high:  # also NaN
            raise ExecutionError("property", "valueOutOfRange")
        change = SetPointChange(point.row.key, round(value / point.factor))
        if not self.set_points.submit(change, peer_of(apdu).host):
            raise ExecutionError("property", "writeAccessDenied")

    def _record(self, apdu: Any, action: str, target: str, result: str) -> None:
        peer = peer_of(apdu)
        self.audit.record(peer.user, peer.host, PROTOCOL, action, target, result)


def _make_port(settings: dict[str, Any]) -> NetworkPortObject:
    """Return the port of the device. Raises ValueError: the address is wrong."""
    if "/" not in settings["address"]:
        raise ValueError("address: a prefix length is needed for broadcasts, such as 10.0.0.5/24")
    address = f"{settings['address']}:{settings.get('port', 47808)}"
    port = NetworkPortObject(address, objectIdentifier=("network-port", 1), objectName="BACnet/IP")
    if settings.get("foreign"):
        from bacpypes3.basetypes import HostNPort, IPMode  # noqa: PLC0415

        port.bacnetIPMode = IPMode.foreign
        port.fdBBMDAddress = HostNPort(settings["foreign"])
        port.fdSubscriptionLifetime = 300
    return port


def make_device(
    settings: dict[str, Any],
    snapshot: Snapshot,
    audit: AuditSink,
    writer: WriteAccess | None = None,
    state: Path | None = None,
) -> BacnetDevice:
    """Build the device and bind its socket; needs a running event loop.

    `settings`: section `northbound.bacnet`. `snapshot`: for the name plate. `state`: folder of the
    decisions of clients on set-points. Raises ValueError:
    an address or a network is wrong.
    """
    from deploy.northbound.bacnet.event_services import make_destination  # noqa: PLC0415

    identity = snapshot.identity
    vendor = settings.get("vendor", 999)
    device = UnitDevice(
        objectIdentifier=("device", settings["device"]),
        objectName=f"{identity.site}/{identity.unit}" if identity.unit else "coldloop",
        description="Coolant distribution unit",
        vendorIdentifier=vendor,
        vendorName=identity.manufacturer or "coldloop",
        modelName=identity.model or "coldloop",
        firmwareRevision=snapshot.software or "unknown",
        applicationSoftwareVersion=snapshot.software or "unknown",
        serialNumber=identity.serial_number,
        location=identity.location,
        maxApduLengthAccepted=1476,
        segmentationSupported="segmented-transmit",
        utcOffset=0,
        daylightSavingsStatus=False,
        databaseRevision=1,
    )
    port = _make_port(settings)
    faults = UpdateFaults()
    points = PointObjects(faults)
    recipients = [make_destination(text) for text in settings.get("recipients", ())]
    alarms, trends = AlarmObjects(recipients, faults), TrendLogs(points.by_key, faults)
    objects = [device, port, *points.objects(), *alarms.objects(), *trends.objects()]
    app: BacnetDevice = BacnetDevice.from_object_list(objects, DeviceInfoCache(), NoRouterCache())
    app.points, app.alarms, app.trends = points, alarms, trends
    app.permitted = PermittedClients(settings.get("networks", ()))
    app.audit, app.unanswered, app.faults = audit, {}, faults
    app.set_points = None if writer is None else SetPointWrites(writer, audit, state=state)
    app.executed = 0
    app.events = EventServices(alarms, app.permitted, writer, audit, state)
    app.events.load()
    bind(app.asap, RequestCheck(audit, PROTOCOL, lambda: app.executed), app.nsap)
    known = frozenset(sender_of(text) for text in settings.get("recipients", ()))

    def share_of(host: str) -> str:
        if host in known:
            return RECIPIENTS
        return PERMITTED if app.permitted.has_host(host) else OTHERS

    for link in app.link_layers.values():
        tested = DatagramFilter(app.asap.serverTransactions, share_of)
        tested.attach(link.server, app.finish_datagram)
    return app
