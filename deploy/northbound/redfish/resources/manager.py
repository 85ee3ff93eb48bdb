# SPDX-License-Identifier: Apache-2.0
"""Manager (the controller), its network, the update service and the service root.

Does not change the network or the software: both belong to the operating system and to the signed
updates of the agent. `Reset` restarts the northbound process only; the agent keeps running.
"""

import fcntl
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.northbound.http.discovery import DiscoveryResponder
from deploy.northbound.points.point_table import point_table
from deploy.northbound.redfish.messages import Json, RedfishError, message
from deploy.northbound.redfish.registry import registries_link
from deploy.northbound.redfish.resource import (
    ROOT,
    Call,
    PropertyPatch,
    Reply,
    Resource,
    ResourceTree,
    action,
    collection,
    link,
)
from deploy.northbound.redfish.resources.certificates import CERTIFICATES
from deploy.northbound.redfish.resources.chassis import unit_uuid
from deploy.northbound.redfish.sensors import CHASSIS, MANAGER, UNIT, SensorModel, name_of, utc_text
from deploy.northbound.snapshot import Identity, Snapshot

_RESET = f"{MANAGER}/Actions/Manager.Reset"
_RESET_INFO = f"{MANAGER}/ResetActionInfo"
_SOFTWARE = f"{ROOT}/UpdateService/FirmwareInventory"
_SERVICES = (
    "AccountService", "CertificateService", "Chassis", "EventService", "Managers",
    "SessionService", "TelemetryService", "ThermalEquipment", "UpdateService",
)  # fmt: skip
_NET = Path("/sys/class/net")
_ADDRESS, _MASK = 0x8915, 0x891B
"""ioctl numbers SIOCGIFADDR and SIOCGIFNETMASK of Linux."""


def service_uuid(plate: Identity) -> str:
    """Return the UUID of the Redfish service of a unit."""
    return unit_uuid(plate.serial_number or plate.unit, "service")


class ManagerResources:
    """Adds Managers, UpdateService and the service root. `restart`: ends the process later."""

    def __init__(
        self,
        tree: ResourceTree,
        sensors: SensorModel,
        restart: Callable[[], None],
        port: int,
        discovery: DiscoveryResponder | None = None,
    ) -> None:
        self._sensors = sensors
        self._restart = restart
        self._port = port
        self._discovery = discovery
        switch = {"SSDP": _check_switch}
        patch = PropertyPatch(switch, self._switch, "ConfigureManager") if discovery else None
        interfaces = f"{MANAGER}/EthernetInterfaces"
        tree.add(
            Resource(ROOT, "ServiceRoot", "coldloop", self._root, id="RootService"),
            collection(f"{ROOT}/Managers", "ManagerCollection", "Managers", lambda: ["1"]),
            Resource(MANAGER, "Manager", "Controller of the unit", self._manager),
            Resource(f"{MANAGER}/NetworkProtocol", "ManagerNetworkProtocol", "Network protocols",
                     self._protocol, patch),
            collection(interfaces, "EthernetInterfaceCollection", "Network interfaces",
                       interface_names),
            Resource(_RESET_INFO, "ActionInfo", "Parameters of Reset", _reset_parameters),
            action(_RESET, self._reset),
            Resource(f"{ROOT}/UpdateService", "UpdateService", "Update service", _update_service),
            collection(_SOFTWARE, "SoftwareInventoryCollection", "Software", lambda: ["coldloop"]),
            Resource(f"{_SOFTWARE}/coldloop", "SoftwareInventory", "Software of the unit",
                     self._software),
        )  # fmt: skip
        tree.add_members(interfaces, self._interface)

    def _root(self) -> Json:
        snapshot = self._sensors.read()
        plate = snapshot.identity
        return {
            "RedfishVersion": "1.20.0",
            "UUID": service_uuid(plate),
            "Vendor": plate.manufacturer or "coldloop",
            "Product": plate.model or "coolant distribution unit",
            **name_of(snapshot, "ServiceIdentification"),
            "ProtocolFeaturesSupported": {
                "ExpandQuery": {"ExpandAll": True, "Levels": True, "Links": True,
                                "NoLinks": True, "MaxLevels": 3},
                "FilterQuery": True,
                "OnlyMemberQuery": True,
                "SelectQuery": True,
                "ExcerptQuery": False,
                "TopSkipQuery": True,
                "MultipleHTTPRequests": True,
            },
            **{name: link(f"{ROOT}/{name}") for name in _SERVICES},
            "Tasks": link(f"{ROOT}/TaskService"),
            "Registries": registries_link(),
            "Links": {"Sessions": link(f"{ROOT}/SessionService/Sessions"),
                      "ManagerProvidingService": link(MANAGER)},
        }  # fmt: skip

    def _manager(self) -> Json:
        snapshot = self._sensors.read()
        plate = snapshot.identity
        return {
            **(_redundancy(snapshot) if self._sensors.has_shown("pair_role") else {}),
            "ManagerType": "Service",
            "UUID": unit_uuid(plate.serial_number or plate.unit, "manager"),
            "FirmwareVersion": snapshot.software or "unknown",
            "DateTime": utc_text(snapshot.utc),
            "DateTimeLocalOffset": "+00:00",
            "Status": {"State": "UnavailableOffline" if snapshot.stale else "Enabled",
                       "Health": "Critical" if snapshot.stale else "OK"},
            "NetworkProtocol": link(f"{MANAGER}/NetworkProtocol"),
            "EthernetInterfaces": link(f"{MANAGER}/EthernetInterfaces"),
            "LogServices": link(f"{MANAGER}/LogServices"),
            "Links": {
                "ManagerForChassis": [link(CHASSIS)],
                "ManagerInChassis": link(CHASSIS),
            },
            "Actions": {"#Manager.Reset": {"target": _RESET, "@Redfish.ActionInfo": _RESET_INFO}},
        }  # fmt: skip

    def _reset(self, call: Call) -> Reply:
        kind = call.body.get("ResetType", "ForceRestart")
        if kind != "ForceRestart":
            text = message("ActionParameterValueNotInList", str(kind)[:40], "ResetType",
                           "Manager.Reset")  # fmt: skip
            raise RedfishError(400, text)
        self._restart()
        return Reply(204)

    def _protocol(self) -> Json:
        name = socket.gethostname()
        found: Json = {}
        if self._discovery is not None:
            discovery = self._discovery
            found["SSDP"] = {"ProtocolEnabled": discovery.is_on, "Port": discovery.port}
        return {
            **found,
            "HostName": name,
            "FQDN": name,
            "HTTPS": {"ProtocolEnabled": True, "Port": self._port,
                      "Certificates": link(CERTIFICATES)},
            "HTTP": {"ProtocolEnabled": False, "Port": None},
            "Status": {"State": "Enabled", "Health": "OK"},
        }  # fmt: skip

    def _switch(self, _call: Call, values: Json) -> None:
        """Switch the discovery on or off."""
        if self._discovery is not None:
            try:
                self._discovery.switch(values["SSDP"]["ProtocolEnabled"])
            except OSError as error:
                text = {**message("GeneralError"), "Message": f"not stored: {error.strerror}"}
                raise RedfishError(507, text) from None

    def _interface(self, name: str) -> Resource | None:
        if name not in interface_names():
            return None
        path = f"{MANAGER}/EthernetInterfaces/{name}"
        return Resource(path, "EthernetInterface", f"Interface {name}", lambda: _interface(name))

    def _software(self) -> Json:
        snapshot = self._sensors.read()
        return {
            "Manufacturer": "coldloop",
            "Version": snapshot.software or "unknown",
            "SoftwareId": "coldloop",
            "Updateable": False,
            "Status": {"State": "Enabled", "Health": "OK"},
            "RelatedItem": [link(UNIT), link(MANAGER)],
        }


def _redundancy(snapshot: Snapshot) -> Json:
    """Return the redundancy of a pair of controllers; the state is not known without a record."""
    role, ready = snapshot.points["pair_role"], snapshot.points["pair_standby_ready"]
    health = {None: None, 0: "Warning", 1: "OK"}[ready.raw]
    active = role.raw is not None and point_table()["pair_role"].words[role.raw] == "active"
    state = "Enabled" if active else "StandbyOffline"
    if role.raw is None:
        state = "UnavailableOffline"
    group = {
        "@odata.id": f"{MANAGER}#/Redundancy/0",
        "@odata.type": "#Redundancy.v1_4_0.Redundancy",
        "MemberId": "0",
        "Name": "Pair of controllers",
        "Mode": "Failover",
        "MinNumNeeded": 1,
        "MaxNumSupported": 2,
        "RedundancyEnabled": True,
        "RedundancySet": [link(MANAGER)],
        "Status": {"State": state, "Health": health},
    }
    return {"Redundancy": [group], "Redundancy@odata.count": 1}


def _check_switch(value: Any) -> Json | None:
    """Return the message of a value that is not accepted: only `ProtocolEnabled` is writable."""
    name = "SSDP/ProtocolEnabled"
    if not isinstance(value, dict) or set(value) != {"ProtocolEnabled"}:
        return message("PropertyNotWritable", "SSDP", related=["SSDP"])
    if not isinstance(value["ProtocolEnabled"], bool):
        return message("PropertyValueTypeError", "...", name, related=[name])
    return None


def _update_service() -> Json:
    return {
        "ServiceEnabled": False,
        "Status": {"State": "Disabled", "Health": "OK"},
        "FirmwareInventory": link(_SOFTWARE),
    }


def _reset_parameters() -> Json:
    about = {"Name": "ResetType", "DataType": "String", "Required": False,
             "AllowableValues": ["ForceRestart"]}  # fmt: skip
    text = "Restarts the northbound service only. The control of the unit continues."
    return {"Description": text, "Parameters": [about]}


def interface_names() -> list[str]:
    """Return the network interfaces of the controller without the loopback; all, if none."""
    try:
        names = sorted(entry.name for entry in _NET.iterdir())
    except OSError:
        return []
    return [name for name in names if name != "lo"][:8] or names[:1]


def _interface(name: str) -> Json:
    state = _read(name, "operstate")
    up = state in ("up", "unknown")
    address, mask = _ipv4(name, _ADDRESS), _ipv4(name, _MASK)
    found: list[Json] = []
    if address:
        found.append({"Address": address, "SubnetMask": mask, "AddressOrigin": "Static",
                      "Gateway": None})  # fmt: skip
    mac = _read(name, "address")
    return {
        "HostName": socket.gethostname(),
        "FQDN": socket.gethostname(),
        "NameServers": _name_servers(),
        "SpeedMbps": _speed(name),
        "MACAddress": mac if len(mac) == 17 else None,
        "InterfaceEnabled": up,
        "LinkStatus": "LinkUp" if up else "LinkDown",
        "Status": {"State": "Enabled" if up else "Disabled", "Health": "OK"},
        "IPv4Addresses": found or [dict.fromkeys(
            ("Address", "SubnetMask", "AddressOrigin", "Gateway"))],
    }  # fmt: skip


def _read(name: str, entry: str) -> str:
    try:
        return (_NET / name / entry).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _speed(name: str) -> int | None:
    text = _read(name, "speed")
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _name_servers() -> list[str]:
    try:
        lines = Path("/etc/resolv.conf").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    return [line.split()[1] for line in lines if line.startswith("nameserver ")][:3]


def _ipv4(name: str, request: int) -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            found = fcntl.ioctl(probe, request, struct.pack("256s", name.encode()[:15]))
        except OSError:
            return None
    return socket.inet_ntoa(found[20:24])
