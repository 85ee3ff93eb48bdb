# SPDX-License-Identifier: Apache-2.0
"""Each way of writing of each protocol, against servers on the loopback.

A function tries all of them and returns the number of its requests; it judges only that a reply
is no success. The caller compares the unit before and after.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from agent.alarms.catalogue import catalogue
from deploy.northbound.modbus import layout
from deploy.northbound.panel.actions import ACTIONS
from deploy.northbound.points.point_table import columns, point_table
from tests.deploy.northbound.bacnet.wire import (
    ACKNOWLEDGE,
    WRITE,
    client_socket,
    confirmed,
    object_id,
)
from tests.support.programs import require_program

PASSWORD = "horse-battery-9"
_ROOT = "/redfish/v1"
_OWN = ("/AccountService", "/SessionService", "/CertificateService", "/EventService", "/Managers")
"""What an administrator may change: the servers themselves, not the unit."""
_BODIES = (
    ("PATCH", {"SetPoint": 33.0}),
    ("PATCH", {"Name": "x", "AssetTag": "y", "Status": {"State": "Disabled"}, "Enabled": False}),
    ("PUT", {"SetPoint": 33.0}),
    ("POST", {"Mode": "Disabled"}),
    ("DELETE", None),
)
_OBJECT_TYPES = {
    "analog-input": 0, "analog-value": 2, "binary-input": 3, "multi-state-value": 19,
    "positive-integer-value": 48,
}  # fmt: skip


class HttpsClient:
    """A connection of one user; `source`: its address, which has its own limit of requests."""

    def __init__(self, port: int, source: str, user: str = "") -> None:
        self._port, self._source, self.user = port, source, user
        self.token = ""
        self._link = self._connect()
        if user:
            body = {"UserName": user, "Password": PASSWORD}
            status, headers, _ = self.call("POST", f"{_ROOT}/SessionService/Sessions", body)
            assert status == 201
            self.token = headers["X-Auth-Token"]

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _connect(self) -> http.client.HTTPSConnection:
        context = ssl._create_unverified_context()
        address = (self._source, 0)
        return http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=20, context=context, source_address=address
        )

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any, bytes]:
        """Return status, headers and body of a reply; waits while the rate is too high."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "X-Coldloop": "1"}
        if self.token:
            headers["X-Auth-Token"] = self.token
        while True:
            try:
                self._link.request(method, path, data, headers)
                reply = self._link.getresponse()
                content = reply.read()
            except (http.client.HTTPException, OSError):  # closed after its number of requests
                self._link.close()
                self._link = self._connect()
                continue
            if reply.status != 429:
                return reply.status, reply.headers, content
            time.sleep(0.2)


def redfish_paths(client: HttpsClient) -> list[str]:
    """Return all paths that the service names, and the targets of its actions."""
    found, waiting = {_ROOT: True}, [_ROOT]
    while waiting:
        status, _, content = client.call("GET", waiting.pop())
        if status != 200 or not content.startswith(b"{"):
            continue
        for path in re.findall(r'"(/redfish/v1[^"#{}?]*)', content.decode()):
            name = path.rstrip("/")
            if name not in found and "/LogServices/" not in name and "/SSE" not in name:
                found[name] = True
                waiting.append(name)
    return sorted(found)


def write_redfish(port: int, paths: list[str], source: str, user: str) -> int:
    """Try each method on each path; an administrator not on the settings of the servers."""
    client, count = HttpsClient(port, source, user), 0
    for path in paths:
        if user == "chief" and path.removeprefix(_ROOT).startswith(_OWN):
            continue
        if path.startswith(f"{_ROOT}/SessionService/Sessions"):
            continue  # logins
        for method, body in _BODIES:
            status, _, content = client.call(method, path, body)
            assert status >= 400, (user, method, path, status, content[:200])
            count += 1
    client.close()
    return count


def write_panel(port: int, source: str, user: str) -> int:
    """Try each action, in one step and in two; without a session too."""
    client, count = HttpsClient(port, source, user), 0
    arguments = {
        "code": "device_lost:valve", "minutes": 5, "reason": "x", "mode": "hand", "valve_pct": 50,
        "pump_pct": 50, "what": "valve", "key": "supply_setpoint", "value": 33.0,
    }  # fmt: skip
    for action in (*ACTIONS, "confirm", "restart"):
        for step in ("prepare", "act"):
            body = {"action": action, "arguments": arguments}
            status, _, content = client.call("POST", f"/panel/api/{step}", body)
            assert status >= 400, (user, action, step, status, content[:200])
            count += 1
    status, _, _ = client.call("POST", "/panel/api/act", {"code": "0" * 32})
    assert status >= 400
    client.close()
    return count + 1


def write_modbus(port: int, has_key: bool) -> int:
    """Functions 5, 6, 15, 16, 21, 22, 23 on each register, from 16 clients; no normal reply.

    `has_key`: a server with a site key takes the keep-alive register, which changes no unit.
    """
    taken = [struct.pack(">BHH", 6, layout.KEEP_ALIVE, 3300),
             struct.pack(">BHHBH", 16, layout.KEEP_ALIVE, 1, 2, 3300)]  # fmt: skip
    socks = []
    for number in range(16):
        sock = socket.create_connection(("127.0.0.1", port), 20, (f"127.0.1.{number + 1}", 0))
        socks.append(sock)
    requests = []
    for at in range(layout.MAP_SIZE):
        requests += [
            struct.pack(">BHH", 5, at, 0xFF00),
            struct.pack(">BHH", 6, at, 3300),
            struct.pack(">BHHBB", 15, at, 8, 1, 255),
            struct.pack(">BHHBH", 16, at, 1, 2, 3300),
            struct.pack(">BHHH", 22, at, 0, 3300),
            struct.pack(">BHHHHBH", 23, 0, 1, at, 1, 2, 3300),
        ]
    requests += [bytes((21, 9, 6, 0, 4, 0, 7, 0, 1, 12, 228)), b"\x08\x00\x01\x00\x00", b"\x2b\x0d"]
    for start in range(0, len(requests), len(socks)):
        part = list(zip(socks, requests[start : start + len(socks)], strict=False))
        for number, (sock, pdu) in enumerate(part):
            sock.sendall(struct.pack(">HHHB", number, 0, len(pdu) + 1, 1) + pdu)
        for sock, pdu in part:
            reply = sock.recv(300)
            assert reply[7] & 0x80 or (has_key and pdu in taken), (pdu, reply)
    for sock in socks:
        sock.close()
    return len(requests)


def bacnet_objects(device: int) -> list[tuple[int, int]]:
    """Return all objects: points, alarms, classes, logs, device, network port."""
    found = [(8, device), (56, 1), *((15, n) for n in (1, 2, 3)), *((20, n) for n in range(1, 11))]
    for key, column in columns("bacnet").items():
        number = column["instance"] + max(0, point_table()[key].instance - 1)
        found.append((_OBJECT_TYPES[column["object"]], number))
    return [*found, *((5, entry.number) for entry in catalogue().entries.values())]


def write_bacnet(port: int, device: int) -> int:
    """WriteProperty, WritePropertyMultiple and AcknowledgeAlarm on each object, and all services
    that are not read services; each reply is Error, Reject or Abort."""
    real = b"\x44" + struct.pack(">f", 33.0)
    requests = []
    for kind, number in bacnet_objects(device):
        target = object_id(kind, number)
        for prop in (85, 81, 103, 77):  # Present_Value, Out_Of_Service, Reliability, name
            single = target + bytes((0x19, prop)) + b"\x3e" + real + b"\x3f\x49\x08"
            requests.append((WRITE, single))
        requests.append((16, target + b"\x1e\x09\x55\x2e" + real + b"\x2f\x1f"))
        stamp = b"\x3e\x19\x05\x3f\x4c\x00bms\x5e\x19\x05\x5f"
        requests.append(
            (ACKNOWLEDGE, b"\x09\x01" + object_id(kind, number, 1) + b"\x29\x02" + stamp)
        )
    read = (5, 12, 14, 26, 29, WRITE, 16, ACKNOWLEDGE)
    requests += [(service, object_id(2, 11)) for service in range(40) if service not in read]
    for number, (service, data) in enumerate(requests):
        reply = _ask(port, confirmed(service, data, number % 256), f"127.0.2.{1 + number % 200}")
        assert reply[6] >> 4 in (5, 6, 7), (service, data, reply)
    return len(requests)


def _ask(port: int, request: bytes, source: str) -> bytes:
    """Return the reply; asks again if the server drops requests above its rate."""
    with client_socket(source, port) as sock:
        sock.settimeout(2)
        for _ in range(20):
            sock.sendto(request, ("127.0.0.1", port))
            try:
                return sock.recv(2000)
            except TimeoutError:
                continue
    raise AssertionError("no reply")


def write_snmp(port: int) -> int:
    """SET of each object of the unit, and of objects of snmpd itself; each is refused."""
    security = ["-v3", "-l", "authPriv", "-u", "reader", "-a", "SHA-256", "-A", "authentication-1",
                "-x", "AES", "-X", "privacy-secret-2", "-t", "5", "-r", "2", "-On"]  # fmt: skip
    address, environment = f"127.0.0.1:{port}", {"PATH": os.defpath, "MIBS": ""}
    walk = subprocess.run(
        [require_program("snmpwalk"), *security, address, ".1.3.6.1.4.1.8072.9999.9999.4710"],
        capture_output=True, text=True, check=True, env=environment, timeout=60,
    )  # fmt: skip
    found = re.findall(r"^(\.1[.\d]+) = (\S+):", walk.stdout, re.MULTILINE)
    assert len(found) > 100
    others = [(".1.3.6.1.2.1.1.4.0", "STRING"), (".1.3.6.1.2.1.1.5.0", "STRING"),
              (".1.3.6.1.6.3.15.1.1.1.0", "INTEGER"),
              (".1.3.6.1.4.1.2021.100.12.0", "INTEGER")]  # fmt: skip
    count = 0
    for oids in (*_parts([*others, *found], 12), *_parts(others, 1), *_parts(found[:10], 1)):
        values = [word for oid, kind in oids for word in (oid, *_value(kind))]
        done = subprocess.run(
            [require_program("snmpset"), *security, address, *values],
            capture_output=True, text=True, check=False, env=environment, timeout=60,
        )  # fmt: skip
        text = done.stdout + done.stderr
        assert done.returncode != 0, text
        assert re.search("noAccess|notWritable|authorizationError|No Such|noCreation", text), text
        count += len(oids)
    return count


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _value(kind: str) -> tuple[str, str]:
    """Return type and value for snmpset."""
    numbers = {"INTEGER": "i", "Gauge32": "u", "Counter32": "u", "Counter64": "u", "Timeticks": "t"}
    return (numbers[kind], "1") if kind in numbers else ("s", "x")
