# SPDX-License-Identifier: Apache-2.0
"""The ports at which the inputs of the harnesses arrive, and the share of inputs of each harness.

A campaign of N inputs divides them so that a slow harness, such as one of a whole unit, does not
take all the time. Each harness belongs to one port; `port_of` fails for a new one without a port.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

PORTS: dict[str, tuple[str, ...]] = {
    "Modbus RTU": (
        *("rtu_", "agent_bus", "sniffer", "device_modbus_line", "modbus_rtu_sealed"),
        *("modbus_reply", "modbus_sniffer", "modbus_line_server"),
    ),
    "Modbus TCP": (
        *("tcp_", "device_modbus_tcp", "modbus_tcp_"),
        *("modbus_northbound", "modbus_rtu_over_tcp"),
    ),
    "Modbus ASCII": ("ascii_", "modbus_ascii_"),
    "receiver, NMEA": ("nmea_", "receiver_driver", "agent_receiver", "device_receiver_"),
    "receiver, binary frames and logs": ("receiver_frames",),
    "modem": ("modem_", "agent_modem_", "device_modem_"),
    "MQTT": ("mqtt", "agent_broker", "device_broker"),
    "signed changes and commands": (
        *("verifier", "patch", "command", "manifest", "signed_message", "cbor", "config"),
    ),
    "datagrams of a satellite link": ("datagram", "receipt", "spend_record"),
    "Redfish and HTTP of loads": ("http", "redfish", "agent_bmc", "device_bmc"),
    "pair link and line": ("pair_",),
    "group, UDP": ("group_",),
    "NTP": ("ntp_",),
    "local socket of the servers": ("agent_local",),
    "servers of the site": ("server_snmp", "web_routes"),
    "ground relay": (*("relay", "report", "telemetry_message", "schema", "block", "merged_block"),),
    "stores": ("stored_", "segment", "sealed_record", "schedule", "account"),
    "texts of people": ("tle", "iso8601", "address", "modbus_table", "modbus_raw"),
}
"""Port: how the names of its harnesses begin."""

_SHARES = {
    **dict.fromkeys(("agent_", "stored_", "device_modbus_line", "sniffer", "pair_line"), 0.03),
    **dict.fromkeys(("pair_state", "config_cbor", "relay"), 0.05),
    "web_routes": 0.003,
    **dict.fromkeys(("block_checked", "pair_store", "patch_changes"), 0.3),
}
"""Inputs of a slow harness as a part of those of a fast one; by the begin of its name."""


def port_of(name: str) -> str:
    """Return the port of a harness: the longest begin of its name counts. Raises KeyError."""
    found = {begin: port for port, begins in PORTS.items() for begin in begins}
    fitting = [begin for begin in found if name.startswith(begin)]
    if not fitting:
        raise KeyError(name)
    return found[max(fitting, key=len)]


def share_of(name: str) -> float:
    """Return the inputs of a harness as a part of those of a fast one."""
    return next((part for begin, part in _SHARES.items() if name.startswith(begin)), 1.0)


def inputs_of(names: Iterable[str], total: int) -> dict[str, int]:
    """Divide `total` inputs; return the number for each harness."""
    shares = {name: share_of(name) for name in names}
    unit = total / sum(shares.values())
    return {name: int(share * unit) + 1 for name, share in shares.items()}


def counts_by_port(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the inputs of each port."""
    found: Counter[str] = Counter()
    for name, count in counts.items():
        found[port_of(name)] += count
    return dict(found)
