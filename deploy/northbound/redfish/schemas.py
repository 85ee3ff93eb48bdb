# SPDX-License-Identifier: Apache-2.0
"""Schemas in use and their versions; the documents $metadata and odata that list them.

Does not validate; the tests do, with the schemas of the DMTF (DSP8010, bundle 2026.1). For each
schema this is the lowest version that has all properties in use, so that old clients know it.
"""

from typing import Any

VERSIONS = {
    "AccountService": "1_11_0",
    "ActionInfo": "1_2_0",
    "Certificate": "1_3_0",
    "CertificateLocations": "1_0_2",
    "CertificateService": "1_0_3",
    "Chassis": "1_26_0",
    "Control": "1_3_0",
    "CoolantConnector": "1_4_0",
    "CoolingUnit": "1_1_0",
    "EnvironmentMetrics": "1_1_0",
    "EthernetInterface": "1_8_0",
    "Event": "1_7_0",
    "EventDestination": "1_13_0",
    "EventService": "1_9_0",
    "Filter": "1_1_0",
    "LeakDetection": "1_1_0",
    "LeakDetector": "1_5_0",
    "LogEntry": "1_13_0",
    "LogService": "1_4_0",
    "Manager": "1_18_0",
    "ManagerAccount": "1_9_0",
    "ManagerNetworkProtocol": "1_9_0",
    "MessageRegistry": "1_6_0",
    "MessageRegistryFile": "1_1_3",
    "MetricReport": "1_1_0",
    "MetricReportDefinition": "1_3_0",
    "Pump": "1_1_0",
    "Reservoir": "1_0_0",
    "Role": "1_3_0",
    "Sensor": "1_11_0",
    "ServiceRoot": "1_17_0",
    "Session": "1_3_0",
    "SessionService": "1_1_8",
    "SoftwareInventory": "1_4_0",
    "Task": "1_5_0",
    "TaskService": "1_2_0",
    "TelemetryService": "1_3_0",
    "ThermalEquipment": "1_0_0",
    "UpdateService": "1_11_0",
}  # fmt: skip
_COLLECTIONS = (
    "Certificate", "Chassis", "Control", "CoolantConnector", "CoolingUnit", "EthernetInterface",
    "EventDestination", "Filter", "LeakDetector", "LogEntry", "LogService", "Manager",
    "ManagerAccount", "MessageRegistryFile", "MetricReport", "MetricReportDefinition", "Pump",
    "Reservoir", "Role", "Sensor", "Session", "SoftwareInventory", "Task",
)  # fmt: skip
_SCHEMA_BASE_URL = "http://redfish.dmtf.org/schemas/v1/"
_OASIS = "http://docs.oasis-open.org/odata/ns"


def type_name(schema: str) -> str:
    """Return the value of @odata.type."""
    if schema.endswith("Collection"):
        return f"#{schema}.{schema}"
    return f"#{schema}.v{VERSIONS[schema]}.{schema}"


def metadata_document() -> str:
    """Return the document of /redfish/v1/$metadata (OData CSDL)."""
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<edmx:Edmx xmlns:edmx="{_OASIS}/edmx" Version="4.0">',
        _reference("RedfishExtensions", ['Namespace="RedfishExtensions.v1_0_0" Alias="Redfish"']),
        _reference("Resource", ['Namespace="Resource"', 'Namespace="Resource.v1_0_0"']),
        _reference("Message", ['Namespace="Message"', 'Namespace="Message.v1_1_2"']),
    ]
    for schema, version in VERSIONS.items():
        attributes = [f'Namespace="{schema}"', f'Namespace="{schema}.v{version}"']
        parts.append(_reference(schema, attributes))
    parts += [
        _reference(f"{name}Collection", [f'Namespace="{name}Collection"']) for name in _COLLECTIONS
    ]
    container_type = f"ServiceRoot.v{VERSIONS['ServiceRoot']}.ServiceContainer"
    parts += [
        "  <edmx:DataServices>",
        f'    <Schema xmlns="{_OASIS}/edm" Namespace="Service">',
        f'      <EntityContainer Name="Service" Extends="{container_type}"/>',
        "    </Schema>",
        "  </edmx:DataServices>",
        "</edmx:Edmx>",
    ]
    return "\n".join(parts) + "\n"


def _reference(schema: str, include_attributes: list[str]) -> str:
    includes = "".join(f"<edmx:Include {attributes}/>" for attributes in include_attributes)
    return f'  <edmx:Reference Uri="{_SCHEMA_BASE_URL}{schema}_v1.xml">{includes}</edmx:Reference>'


def service_document(root: dict[str, Any]) -> dict[str, Any]:
    """Return the OData service document: the resources that the service root links to."""
    values = [{"name": "Service", "kind": "Singleton", "url": "/redfish/v1/"}]
    for name, value in root.items():
        if isinstance(value, dict) and "@odata.id" in value:
            values.append({"name": name, "kind": "Singleton", "url": value["@odata.id"]})
    return {"@odata.context": "/redfish/v1/$metadata", "value": values}


def schema_uri(schema: str) -> str:
    """Return the address of a schema, for the header Link."""
    return f"{_SCHEMA_BASE_URL.replace('schemas/v1', 'schemas')}{schema}.json"
