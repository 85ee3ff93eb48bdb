# SPDX-License-Identifier: Apache-2.0
"""LogService of the manager: the events of the unit as log entries, expanded in the collection.

Does not keep the events; see `event_log` and `event_file`. An event whose UTC is not known has no
entry yet, because Created must be a time; it is among the events of the stream. It gets its entry
with the next UTC that is known. The property EventTimestamp is the time of the event, if known.
"""

from collections.abc import Callable

from deploy.northbound.redfish.event_log import RING, EventLog, UnitEvent
from deploy.northbound.redfish.messages import Json
from deploy.northbound.redfish.registry import message_id
from deploy.northbound.redfish.resource import (
    MANAGER as MANAGER_PRIVILEGE,
)
from deploy.northbound.redfish.resource import (
    Call,
    Reply,
    Resource,
    ResourceTree,
    action,
    collection,
    link,
)
from deploy.northbound.redfish.sensors import MANAGER, UNIT, SensorModel, utc_text

_SERVICES = f"{MANAGER}/LogServices"
_LOG = f"{_SERVICES}/Events"


class LogResources:
    """Adds the log of events to a tree."""

    def __init__(self, tree: ResourceTree, sensors: SensorModel, events: EventLog) -> None:
        self._sensors = sensors
        self._events = events
        entries = Resource(
            f"{_LOG}/Entries", "LogEntryCollection", "Events of the unit", self._entries,
            expanded=True,
        )  # fmt: skip
        tree.add(
            collection(_SERVICES, "LogServiceCollection", "Log services", lambda: ["Events"]),
            Resource(_LOG, "LogService", "Events of the unit", self._service),
            entries,
            action(f"{_LOG}/Actions/LogService.ClearLog", self._clear, MANAGER_PRIVILEGE),
        )
        tree.add_members(f"{_LOG}/Entries", self._find)

    def _service(self) -> Json:
        return {
            "ServiceEnabled": True,
            "LogEntryType": "Event",
            "LogPurposes": ["Operations"],
            "OverWritePolicy": "WrapsWhenFull",
            "MaxNumberOfRecords": RING,
            "DateTime": utc_text(self._sensors.read().utc),
            "DateTimeLocalOffset": "+00:00",
            "Status": {"State": "Enabled", "Health": "OK"},
            "Entries": link(f"{_LOG}/Entries"),
            "Actions": {"#LogService.ClearLog": {"target": f"{_LOG}/Actions/LogService.ClearLog"}},
        }

    def _listed(self) -> list[UnitEvent]:
        return [e for e in self._events.events if (e.created or e.entered) and not e.test]

    def _entries(self) -> Json:
        members = [resource.body() for resource in map(self._entry, self._listed())]
        return {"Members@odata.count": len(members), "Members": members}

    def _find(self, number: str) -> Resource | None:
        for event in self._listed():
            if str(event.id) == number:
                return self._entry(event)
        return None

    def _entry(self, event: UnitEvent) -> Resource:
        def build() -> Json:
            stamp = {"EventTimestamp": utc_text(event.created)} if event.created else {}
            return {
                "EntryType": "Event",
                "EventId": str(event.id),
                "Created": utc_text(event.created or event.entered),
                **stamp,
                "Severity": event.severity,
                "Message": event.text,
                "MessageId": message_id(event.key),
                "MessageArgs": list(event.args),
                "Resolution": event.resolution,
                "Links": {"OriginOfCondition": link(UNIT)},
            }

        make: Callable[[], Json] = build
        return Resource(f"{_LOG}/Entries/{event.id}", "LogEntry", f"Event {event.id}", make)

    def _clear(self, _call: Call) -> Reply:
        self._events.clear()
        return Reply(204)
