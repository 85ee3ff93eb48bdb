# SPDX-License-Identifier: Apache-2.0
"""Protocol implementation conformance statement (PICS, ANSI/ASHRAE 135 Annex A) as a page.

Made from the device itself: objects, properties and limits are those of the code.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from deploy.northbound.bacnet import subscriptions
from deploy.northbound.bacnet.alarm_objects import AlarmObjects
from deploy.northbound.bacnet.point_objects import PointObjects
from deploy.northbound.bacnet.trend_log import RECORDS, TrendLogs
from deploy.northbound.bacnet.update_faults import UpdateFaults

BIBBS = {
    "DS-RP-B": "ReadProperty",
    "DS-RPM-B": "ReadPropertyMultiple",
    "DS-WP-B": "WriteProperty, of set-points if the configuration permits it",
    "DS-WPM-B": "WritePropertyMultiple, of one property in a request",
    "DS-COV-B": "SubscribeCOV",
    "AE-N-I-B": "event notifications, of alarms",
    "AE-ACK-B": "AcknowledgeAlarm, if the configuration permits it",
    "AE-INFO-B": "GetEventInformation",
    "T-VMT-I-B": "trend logs, ReadRange",
    "DM-DDB-B": "Who-Is, I-Am",
    "DM-DOB-B": "Who-Has, I-Have",
}
_WRITABLE = {"analog-value": "presentValue of AV 11 and AV 12, with `northbound.writes`"}
_PRIVATE = "_"
_INTRODUCTION = (
    "The protocol implementation conformance statement of the BACnet server. No BACnet testing "
    "laboratory has tested it."
)
_REFUSED = (
    "DeviceCommunicationControl and ReinitializeDevice are rejected: the device has no DM-DCC-B "
    "and no DM-RD-B."
)
_OBJECTS = (
    "No object can be created or deleted. The device also has the objects device and network-port."
)


def pics_page(note: str) -> str:
    """Return the page; needs a running event loop, because the objects of bacpypes3 do."""
    faults = UpdateFaults()
    points = PointObjects(faults)
    alarms, trends = AlarmObjects((), faults), TrendLogs(points.by_key, faults)
    objects = [*points.objects(), *alarms.objects(), *trends.objects()]
    lines = [
        "# BACnet PICS",
        "",
        "For engineers who connect the unit to a BACnet network.",
        "",
        note,
        "",
        _INTRODUCTION,
        "",
        *_table(("item", "value"), _facts()),
        "",
        "## BACnet interoperability building blocks",
        *_table(("BIBB", "service"), list(BIBBS.items())),
        "",
        _REFUSED,
        "",
        "## Objects",
        _OBJECTS,
        "",
        *_table(("object type", "number", "writable", "properties"), list(_object_rows(objects))),
        "",
    ]
    return "\n".join(lines)


def _facts() -> list[tuple[str, str]]:
    return [
        ("vendor identifier", "`northbound.bacnet.vendor`; 999 until ASHRAE has given one"),
        ("protocol version and revision", "1, 22"),
        ("device profile", "nearest: B-ASC, with alarms and trend logs"),
        ("data link", "BACnet/IP (Annex J). No BACnet/SC, no MS/TP"),
        ("foreign device", "registers with a BBMD (`northbound.bacnet.foreign`)"),
        ("BBMD, routing", "no"),
        ("segmentation", "transmits segmented replies; receives no segmented requests"),
        ("longest APDU", "1476"),
        ("character set", "ISO 10646 (UTF-8)"),
        ("COV", _cov_text()),
        ("trend logs", f"{RECORDS} records each, one a minute, UTC"),
        ("device address binding", "none"),
    ]


def _object_rows(objects: list[Any]) -> Iterator[tuple[str, str, str, str]]:
    found: dict[str, list[Any]] = {}
    for item in objects:
        found.setdefault(str(item.objectIdentifier[0]), []).append(item)
    for kind, items in sorted(found.items()):
        names = sorted({name for item in items for name in _properties(item)})
        yield kind, str(len(items)), _WRITABLE.get(kind, "none"), ", ".join(names)


def _properties(item: Any) -> Iterator[str]:
    """Return the properties that have a value."""
    for name in item._elements:  # noqa: SLF001 - the library has no other list
        if not name.startswith(_PRIVATE) and getattr(item, name, None) is not None:
            yield name


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _cov_text() -> str:
    total, each = subscriptions.MAX_SUBSCRIPTIONS, subscriptions.MAX_OF_CLIENT
    return f"{total} subscriptions, {each} of one client, {subscriptions.MAX_LIFETIME_S // 3600} h"
