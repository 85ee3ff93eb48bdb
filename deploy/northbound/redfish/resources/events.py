# SPDX-License-Identifier: Apache-2.0
"""EventService: subscriptions, the stream of server-sent events, and the test event.

Does not open connections to destinations; see `deploy.northbound.redfish.event_push`. A stream has
a subscription of its own (SubscriptionType SSE) that ends with the stream, and with the session of
its login; an open stream keeps the session.

A client that does not read, or a destination that does not follow, loses its subscription when 256
events wait that are older than the record. So no burst of alarms in one record ends a subscription.
With the policy RetryForever the subscription stays, and its oldest events are dropped instead.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from deploy.northbound.redfish.event_log import EventLog, UnitEvent
from deploy.northbound.redfish.event_push import EventPush, has_password
from deploy.northbound.redfish.messages import Json, RedfishError, message
from deploy.northbound.redfish.registry import PREFIX, message_id
from deploy.northbound.redfish.resource import (
    COMPONENTS,
    MANAGER,
    PRIVILEGES,
    ROOT,
    Call,
    Method,
    PropertyPatch,
    Reply,
    Resource,
    ResourceTree,
    action,
    collection,
    link,
)
from deploy.northbound.redfish.schemas import type_name
from deploy.northbound.redfish.sensors import SensorModel

SERVICE = f"{ROOT}/EventService"
STREAM = f"{SERVICE}/SSE"
_SUBSCRIPTIONS = f"{SERVICE}/Subscriptions"
_MAX_SUBSCRIPTIONS = 16
"""Subscriptions of pushes; the server limits the streams."""
_MOST_WAITING = 256
_TERMINATE, _FOREVER = "TerminateAfterRetries", "RetryForever"
KEEP_ALIVE_S = 20.0
_MAX_TEXT_LENGTH = 1024
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_FILTER_LISTS = ("RegistryPrefixes", "MessageIds", "ExcludeRegistryPrefixes", "ExcludeMessageIds",
          "ResourceTypes")  # fmt: skip


@dataclass(slots=True)
class Subscription:
    """A subscription. `headers`: sent with each event, never shown.

    `record`: id of the first event of the newest record, `behind`: events that waited before it.
    `forever`: its policy is RetryForever. `delivered`: id of the last event that it has.
    """

    id: str
    destination: str
    context: str = ""
    user: str = ""
    stream: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    filters: dict[str, list[str]] = field(default_factory=dict)
    origin: bool = False
    queue: "asyncio.Queue[UnitEvent | None]" = field(default_factory=asyncio.Queue)
    alive: bool = True
    record: int = 0
    behind: int = 0
    forever: bool = False
    delivered: int = 0

    def follows(self, record: int) -> bool:
        """Return whether the client has read enough of what was before a record."""
        if record != self.record:
            self.record, self.behind = record, self.queue.qsize()
        return self.behind < _MOST_WAITING

    def accepts(self, event: UnitEvent) -> bool:
        """Return whether the filters of the subscription let an event pass."""
        if event.test:
            return True
        message_name, lists = message_id(event.key), self.filters
        accepted_names = {message_name, f"{PREFIX}.{event.key}"}
        return (
            (not lists.get("RegistryPrefixes") or PREFIX in lists["RegistryPrefixes"])
            and (not lists.get("MessageIds") or bool(accepted_names & set(lists["MessageIds"])))
            and (not lists.get("ResourceTypes") or "CoolingUnit" in lists["ResourceTypes"])
            and PREFIX not in lists.get("ExcludeRegistryPrefixes", ())
            and not accepted_names & set(lists.get("ExcludeMessageIds", ()))
        )

    def payload(self, event: UnitEvent) -> str:
        """Return an event as the body of a request or as the data of the stream."""
        body: Json = {
            "@odata.type": type_name("Event"),
            "Id": str(event.id),
            "Name": "Event of the unit",
            "Context": self.context,
            "Events": [event.record(origin=True)],
        }
        return json.dumps(body, separators=(",", ":"))


class EventResources:
    """Adds the EventService to a tree, and gives each event to its subscribers.

    `keep_session`: renews a session by its id; False: it has ended.
    """

    def __init__(
        self,
        tree: ResourceTree,
        sensors: SensorModel,
        events: EventLog,
        push: EventPush,
        keep_session: Callable[[str], bool],
    ) -> None:
        self._keep_session = keep_session
        self._sensors = sensors
        self._events = events
        self._push = push
        self.subscriptions: dict[str, Subscription] = {}
        self._next = 1
        self._restored: list[Subscription] = []
        events.subscribe(self._distribute)
        target = f"{SERVICE}/Actions/EventService.SubmitTestEvent"
        tree.add(
            Resource(SERVICE, "EventService", "Event service", self._service),
            collection(_SUBSCRIPTIONS, "EventDestinationCollection", "Subscriptions",
                       lambda: list(self.subscriptions), Method(self._create, COMPONENTS)),
            action(target, self._submit_test, MANAGER),
        )  # fmt: skip
        tree.add_members(_SUBSCRIPTIONS, self._find_resource)

    def _service(self) -> Json:
        target = f"{SERVICE}/Actions/EventService.SubmitTestEvent"
        return {
            "ServiceEnabled": True,
            "Status": {"State": "Enabled", "Health": "OK"},
            "DeliveryRetryAttempts": self._push.ATTEMPTS,
            "DeliveryRetryIntervalSeconds": round(self._push.interval_s),
            "EventFormatTypes": ["Event"],
            "RegistryPrefixes": [PREFIX],
            "ResourceTypes": ["CoolingUnit"],
            "SubordinateResourcesSupported": False,
            "IncludeOriginOfConditionSupported": False,
            "ExcludeMessageId": True,
            "ExcludeRegistryPrefix": True,
            "ServerSentEventUri": STREAM,
            "SSEFilterPropertiesSupported": {
                "EventFormatType": False, "MessageId": False, "MetricReportDefinition": False,
                "OriginResource": False, "RegistryPrefix": False, "ResourceType": False,
            },
            "Subscriptions": link(_SUBSCRIPTIONS),
            "Actions": {"#EventService.SubmitTestEvent": {"target": target}},
        }  # fmt: skip

    def _find_resource(self, number: str) -> Resource | None:
        subscription = self.subscriptions.get(number)
        if subscription is None:
            return None
        patch = PropertyPatch(
            {"Context": _check_text}, lambda _call, values: self._change(number, values)
        )
        return Resource(
            f"{_SUBSCRIPTIONS}/{number}",
            "EventDestination",
            f"Subscription {number}",
            lambda: _destination(subscription),
            patch,
            delete=Method(lambda _call: self._delete(number), COMPONENTS),
        )

    def _change(self, number: str, values: Json) -> None:
        self.subscriptions[number].context = values["Context"]

    def _delete(self, number: str) -> Reply:
        self.end(number)
        return Reply(204)

    def end(self, number: str) -> None:
        """End a subscription; its stream or its delivery ends with it."""
        subscription = self.subscriptions.pop(number, None)
        if subscription is not None:
            subscription.alive = False
            subscription.queue.put_nowait(None)

    def end_streams(self, user: str, role: str) -> None:
        """End the streams of a user whose account has changed.

        `role`: of the account now, "" without one. Without the right to subscribe, the deliveries
        by push end, too.
        """
        may_subscribe = COMPONENTS in PRIVILEGES.get(role, ())
        for subscription in tuple(self.subscriptions.values()):
            ends = subscription.stream or not may_subscribe
            if ends and subscription.user == user:
                self.end(subscription.id)

    def _create(self, call: Call) -> Reply:
        body = call.body
        problems = _find_problems(body)
        if problems:
            raise RedfishError(400, *problems)
        if len(self.kept()[1]) >= _MAX_SUBSCRIPTIONS:
            raise RedfishError(503, message("CreateLimitReachedForResource"))
        destination = body["Destination"]
        refusal = self._push.refusal(destination)
        if refusal:
            shown = "..." if has_password(destination) else destination
            text = message("PropertyValueFormatError", shown, "Destination",
                           related=["Destination"])  # fmt: skip
            raise RedfishError(400, {**text, "Resolution": refusal})
        subscription = self._add_push(body, call.user)
        subscription.delivered = self._events.last_id
        self._start(subscription)
        resource = self._find_resource(subscription.id)
        path = f"{_SUBSCRIPTIONS}/{subscription.id}"
        return Reply(201, resource.body() if resource else {}, {"Location": path})

    def _add_push(self, body: Json, user: str) -> Subscription:
        subscription = self._add_subscription(body["Destination"], body.get("Context") or "", user)
        for item in body.get("HttpHeaders") or []:
            subscription.headers.update(item)
        subscription.filters = {name: body[name] for name in _FILTER_LISTS if body.get(name)}
        subscription.forever = body.get("DeliveryRetryPolicy") == _FOREVER
        return subscription

    def _start(self, subscription: Subscription) -> None:
        self._push.start(subscription, lambda: self.end(subscription.id))

    def kept(self) -> tuple[int, list[Json]]:
        """Return the next id, and the subscriptions of pushes as `restore` takes them."""
        return self._next, [
            {
                "id": entry.id,
                "user": entry.user,
                "delivered": entry.delivered,
                "body": {
                    "Destination": entry.destination,
                    "Protocol": "Redfish",
                    "Context": entry.context,
                    "HttpHeaders": [{name: text} for name, text in entry.headers.items()],
                    "DeliveryRetryPolicy": _FOREVER if entry.forever else _TERMINATE,
                    **entry.filters,
                },
            }
            for entry in self.subscriptions.values()
            if not entry.stream
        ]

    def restore(self, number: int, entries: list[Json]) -> None:
        """Go on with subscriptions of before a restart, with the events that they do not have.

        `number`: the next id. Raises one of `DAMAGED`: no such entry. One that is not permitted
        any more is left out.
        """
        for entry in entries[:_MAX_SUBSCRIPTIONS]:
            body, self._next = entry["body"], int(entry["id"])
            if _find_problems(body) or self._push.refusal(body["Destination"]):
                continue
            subscription = self._add_push(body, str(entry["user"]))
            subscription.delivered = int(entry["delivered"])
            for event in filter(subscription.accepts, self._events.after(subscription.delivered)):
                subscription.queue.put_nowait(event)
            self._restored.append(subscription)
        self._next = max(self._next, number)

    def start_restored(self) -> None:
        """Begin the deliveries of restored subscriptions; in the event loop."""
        while self._restored:
            self._start(self._restored.pop())

    def _add_subscription(self, destination: str, context: str, user: str) -> Subscription:
        number = str(self._next)
        self._next += 1
        subscription = Subscription(number, destination, context, user)
        self.subscriptions[number] = subscription
        return subscription

    def _submit_test(self, _call: Call) -> Reply:
        self._events.send_test(self._sensors.read())
        return Reply(204)

    def _distribute(self, event: UnitEvent) -> None:
        for subscription in tuple(self.subscriptions.values()):
            if not subscription.accepts(event):
                continue
            follows = subscription.follows(self._events.record_start)
            if not follows and subscription.forever:
                subscription.queue.get_nowait()
            if follows or subscription.forever:
                subscription.queue.put_nowait(event)
            else:
                self.end(subscription.id)

    async def stream(self, call: Call, last_id: str) -> AsyncIterator[str]:
        """Yield the events as a stream (SSE); `last_id`: the header Last-Event-ID, or "".

        The server has few places of streams, so pushes take none of them.
        """
        subscription = self._add_subscription(f"sse://{call.address}", "", call.user)
        subscription.stream = True
        try:
            yield ": connected\n\n"
            if last_id.isdecimal():
                for event in self._events.after(int(last_id[:18])):
                    yield f"id: {event.id}\ndata: {subscription.payload(event)}\n\n"
            while subscription.alive:
                try:
                    found = await asyncio.wait_for(subscription.queue.get(), KEEP_ALIVE_S)
                    text = (
                        f"id: {found.id}\ndata: {subscription.payload(found)}\n\n" if found else ""
                    )
                except TimeoutError:
                    text = ": keep-alive\n\n"
                if not text or (call.session and not self._keep_session(call.session)):
                    return
                yield text
        finally:
            self.subscriptions.pop(subscription.id, None)


def _destination(subscription: Subscription) -> Json:
    return {
        "Destination": subscription.destination,
        "Context": subscription.context,
        "Protocol": "Redfish",
        "SubscriptionType": "SSE" if subscription.stream else "RedfishEvent",
        "EventFormatType": "Event",
        "DeliveryRetryPolicy": _FOREVER if subscription.forever else _TERMINATE,
        "HttpHeaders": [],
        **{name: subscription.filters.get(name, []) for name in _FILTER_LISTS},
        "Status": {"State": "Enabled", "Health": "OK"},
    }


def _check_text(value: Any) -> Json | None:
    if isinstance(value, str) and len(value) <= _MAX_TEXT_LENGTH:
        return None
    return message("PropertyValueTypeError", str(value)[:80], "Context", related=["Context"])


_PROPERTY_CHOICES = {
    "Protocol": ("Redfish",),
    "SubscriptionType": ("RedfishEvent",),
    "EventFormatType": ("Event",),
    "DeliveryRetryPolicy": (_TERMINATE, _FOREVER),
}
_KNOWN_PROPERTIES = {
    "Destination",
    "Context",
    "HttpHeaders",
    "EventTypes",
    *_PROPERTY_CHOICES,
    *_FILTER_LISTS,
}


def _find_problems(body: Json) -> list[Json]:
    """Return the messages of a request for a subscription that is not valid."""
    found = [message("PropertyUnknown", name, related=[name])
             for name in body if name not in _KNOWN_PROPERTIES and "@" not in name]  # fmt: skip
    found += [
        message("PropertyMissing", name, related=[name])
        for name in ("Destination", "Protocol")
        if name not in body
    ]
    for name, choices in _PROPERTY_CHOICES.items():
        if name in body and body[name] not in choices:
            value = str(body[name])[:80]
            found.append(message("PropertyValueNotInList", value, name, related=[name]))
    found += [
        message("PropertyValueTypeError", "...", name, related=[name])
        for name in _FILTER_LISTS
        if name in body and not _is_list(body[name])
    ]
    found += filter(None, [_check_text(body["Context"])] if body.get("Context") else [])
    if "Destination" in body and not _is_address(body["Destination"]):
        value = str(body["Destination"])[:80]
        found.append(message("PropertyValueFormatError", value, "Destination",
                             related=["Destination"]))  # fmt: skip
    if "HttpHeaders" in body and not _are_headers(body["HttpHeaders"]):
        found.append(message("PropertyValueTypeError", "...", "HttpHeaders",
                             related=["HttpHeaders"]))  # fmt: skip
    return found


def _is_list(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 32
        and all(isinstance(item, str) and len(item) <= 256 for item in value)
    )


def _is_address(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > _MAX_TEXT_LENGTH or not value.isprintable():
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _are_headers(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > 8:
        return False
    return all(
        isinstance(item, dict)
        and all(
            _HEADER_NAME.fullmatch(name) and isinstance(text, str) and text.isprintable()
            and text.isascii() and len(text) <= _MAX_TEXT_LENGTH
            for name, text in item.items()
        )
        for item in value
    )  # fmt: skip
