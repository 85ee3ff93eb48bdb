# SPDX-License-Identifier: Apache-2.0
"""Message registry of the unit: a message for each alarm of the catalogue, and for its changes.

Does not raise events; see `deploy.northbound.redfish.event_log`. The registry is at
/redfish/v1/Registries/Coldloop; those of the DMTF are named by their published addresses.
"""

from functools import cache

from agent.alarms.catalogue import catalogue
from deploy.northbound.redfish.messages import Json
from deploy.northbound.redfish.resource import ROOT, Resource, ResourceTree, collection, link

PREFIX = "Coldloop"
VERSION = "1.0.0"
SEVERITY = {1: "Critical", 2: "Warning", 3: "Warning", 4: "OK"}
"""Severity of a priority of ISA-18.2."""
_REGISTRIES = f"{ROOT}/Registries"
_PUBLISHED = "https://redfish.dmtf.org/registries/"
_DMTF = {"Base": "Base.1.18.0"}
_CHANGES = {
    "AlarmCleared": ("OK", "The alarm %1 is cleared.", ["code"]),
    "AlarmAcknowledged": ("OK", "The alarm %1 is acknowledged.", ["code"]),
    "AlarmShelved": ("OK", "The alarm %1 is shelved.", ["code"]),
    "UnitStateNormal": ("OK", "The state of the unit is %1; it was %2.", ["state", "state"]),
    "UnitStateDegraded": ("Warning", "The state of the unit is %1; it was %2.", ["s", "s"]),
    "UnitStateCritical": ("Critical", "The state of the unit is %1; it was %2.", ["s", "s"]),
    "UnknownAlarm": ("Warning", "%1: %2", ["code", "text"]),
    "ServerStarted": (
        "OK",
        "The server started. The time is that of the system clock and is not verified.",
        [],
    ),
    "TestEvent": ("OK", "Test of the delivery of events.", []),
}
"""Key of a message: its severity, its text, and the names of its arguments."""


def alarm_key(code: str) -> str:
    """Return the key of an alarm code: `supply_high` is SupplyHigh."""
    if code not in catalogue().entries:
        return "UnknownAlarm"
    return "".join(word[:1].upper() + word[1:] for word in code.split("_"))


def message_id(key: str) -> str:
    """Return the MessageId of a key: prefix, major and minor version, key."""
    return f"{PREFIX}.{VERSION.rsplit('.', 1)[0]}.{key}"


@cache
def registry() -> Json:
    """Return the registry."""
    messages: Json = {}
    for key, (severity, text, names) in _CHANGES.items():
        messages[key] = _entry(text, text, severity, names, "None.")
    for code, entry in catalogue().entries.items():
        messages[alarm_key(code)] = _entry(
            entry.means, "%1: %2", SEVERITY[entry.priority], ["code", "text"], entry.do
        )
    return {
        "@odata.type": "#MessageRegistry.v1_6_0.MessageRegistry",
        "Id": f"{PREFIX}.{VERSION}",
        "Name": "Alarms of coldloop",
        "Language": "en",
        "Description": "Alarms of a coolant distribution unit",
        "RegistryPrefix": PREFIX,
        "RegistryVersion": VERSION,
        "OwningEntity": PREFIX,
        "Messages": messages,
    }


def _entry(about: str, text: str, severity: str, names: list[str], resolution: str) -> Json:
    return {
        "Description": about,
        "Message": text,
        "MessageSeverity": severity,
        "NumberOfArgs": len(names),
        "ParamTypes": ["string"] * len(names),
        "Resolution": resolution,
    }


def add_registries(tree: ResourceTree) -> None:
    """Add the collection of registries to a tree."""
    own = f"{_REGISTRIES}/{PREFIX}"
    names = [*_DMTF, PREFIX]
    tree.add(collection(_REGISTRIES, "MessageRegistryFileCollection", "Registries",
                        lambda: names))  # fmt: skip
    for name, full in {**_DMTF, PREFIX: f"{PREFIX}.{VERSION}"}.items():
        location: Json = {"Language": "en"}
        if name == PREFIX:
            location["Uri"] = f"{own}/{full}.json"
        else:
            location["PublicationUri"] = f"{_PUBLISHED}{full}.json"
        content: Json = {
            "Registry": ".".join(full.split(".")[:3]),
            "Languages": ["en"],
            "Location": [location],
        }
        path = f"{_REGISTRIES}/{name}"
        tree.add(Resource(path, "MessageRegistryFile", f"{name} registry",
                          lambda content=content: content))  # type: ignore[misc]  # fmt: skip
    path = f"{own}/{PREFIX}.{VERSION}.json"
    tree.add(Resource(path, "MessageRegistry", "Alarms of coldloop", registry))


def registries_link() -> Json:
    """Return the reference to the collection of registries."""
    return link(_REGISTRIES)
