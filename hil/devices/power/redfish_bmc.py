# SPDX-License-Identifier: Apache-2.0
"""An emulated Redfish service for loads with a power limit, in two generations of the schema.

It does no I/O: each call returns (connection, delay in µs, bytes); None closes the connection. It
reads HTTP with Python's own `http` and `email` packages, independent of the agent's client. It
serves

    POST  /redfish/v1/SessionService/Sessions              a token in X-Auth-Token
    GET, PATCH /redfish/v1/Chassis/NAME/EnvironmentMetrics PowerLimitWatts (the newer schema)
    GET, PATCH /redfish/v1/Chassis/NAME/Power              PowerControl[0].PowerLimit (the older)
    POST  /redfish/v1/Systems/NAME/Actions/ComputerSystem.Reset   On, GracefulShutdown, ForceOff

EnvironmentMetrics also has TemperatureCelsius, the temperature of the hottest device of a load, if
`case_c` has a function for it. It is null while the load is off.

Faults:

    retry_after_s       every reply is 503 with this Retry-After, s
    silent              requests get no reply
    down                connections are closed
    rejects_limits      limits get 400
    response_us         time of every reply
    token_uses          number of requests for which a token is valid
    requires_etag       a PATCH needs the correct If-Match
    chunked             replies use chunked transfer encoding
    closes_connections  one request for each connection
    ignores_limits      limits are confirmed and stored, and have no effect
    ignores_resets      power actions are confirmed and have no effect
    limits_deferred     a limit takes effect at the next `reboot`
    shown_case_c        all device temperatures show this value, °C
    power_scale         all powers show the value of their sensor times this
"""

from __future__ import annotations

import base64
import email.parser
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import ClassVar

from hil.devices.base import MILLISECOND, NEVER, FaultTarget, TcpReplies
from hil.devices.power.capped_load import CappedLoad

_ROOT = "/redfish/v1"
_RESPONSE_US = 40 * MILLISECOND
"""Reply time of a board's web server (assumed; measured boards take 20 to 500 ms)."""
_MAX_BUFFER_BYTES = 65_536


class RedfishBmc(FaultTarget):
    """The service in front of `loads`; `legacy_names` are the loads with the older schema."""

    FAULTS: ClassVar = frozenset(
        (
            "retry_after_s",
            "silent",
            "down",
            "rejects_limits",
            "ignores_limits",
            "ignores_resets",
            "requires_etag",
            "chunked",
            "closes_connections",
            "limits_deferred",
            "response_us",
            "token_uses",
            "shown_case_c",
            "power_scale",
        )
    )

    def __init__(
        self,
        loads: list[CappedLoad],
        legacy_names: tuple[str, ...] = (),
        login: tuple[str, str] | None = None,
        min_fraction: float = 0.25,
        both_names: tuple[str, ...] = (),
    ) -> None:
        """Limits below `min_fraction` of the rating are rejected. `both_names`: both schemas."""
        self.loads = {load.name: load for load in loads}
        self.legacy_names = legacy_names
        self.both_names = both_names
        self.login = login
        self.min_fraction = min_fraction
        self.retry_after_s = 0
        self.silent = self.down = self.rejects_limits = self.requires_etag = self.chunked = (
            self.closes_connections
        ) = False
        self.limits_deferred = False
        self.ignores_limits = self.ignores_resets = False
        self.response_us = _RESPONSE_US
        self.token_uses = 1_000_000
        self.shown_case_c: float | None = None
        self.power_scale: float = 1
        self.case_c: dict[str, Callable[[], float]] = {}
        self.limits_w: dict[str, int] = {load.name: int(load.rated_w) for load in loads}
        self.patches: list[tuple[int, str, int]] = []
        self.resets: list[tuple[int, str, bool]] = []
        self.requests = self.malformed = self.logins = self.unauthorized = 0
        self._buffers: dict[int, bytes] = {}
        self._tokens: dict[str, int] = {}
        self._version = 0

    def reboot(self, now: int) -> None:
        """Restart the loads: limits are lost or, if deferred, take effect now."""
        self._tokens.clear()
        for name, load in self.loads.items():
            if not self.limits_deferred:
                self.limits_w[name] = int(load.rated_w)
            load.set_limit(self.limits_w[name], now, 0)

    # Connections.

    def opened(self, conn: int, now: int) -> TcpReplies:
        """A client has connected."""
        if self.down:
            return [(conn, 0, None)]
        self._buffers[conn] = b""
        return []

    def closed(self, conn: int, now: int) -> TcpReplies:
        """A client has disconnected."""
        self._buffers.pop(conn, None)
        return []

    def wake(self, now: int) -> TcpReplies:
        """Do nothing: the service has no deadline."""
        return []

    def deadline(self) -> int:
        """Return NEVER."""
        return NEVER

    def receive(self, conn: int, data: bytes, now: int) -> TcpReplies:
        """Process bytes of a client."""
        if self.down or conn not in self._buffers:
            return [(conn, 0, None)]
        buffer = self._buffers[conn] + data
        out: TcpReplies = []
        while b"\r\n\r\n" in buffer:
            head, _, rest = buffer.partition(b"\r\n\r\n")
            request_line, _, lines = head.partition(b"\r\n")
            try:
                parser = email.parser.BytesParser()
                fields = parser.parsebytes(lines + b"\r\n\r\n", headersonly=True)
                length = int(fields.get("Content-Length", "0"))
                if len(rest) < length:
                    break
                buffer = rest[length:]
                out += self._handle_request(
                    conn, request_line.decode(), dict(fields), rest[:length], now
                )
            except (ValueError, KeyError, TypeError, AttributeError):
                self.malformed += 1
                buffer = b""
                out += [*self._respond(conn, 400, _error_body("MalformedJSON")), (conn, 0, None)]
        self._buffers[conn] = buffer[:_MAX_BUFFER_BYTES]
        return out

    # Requests.

    def _handle_request(
        self, conn: int, request_line: str, fields: dict[str, str], body: bytes, now: int
    ) -> TcpReplies:
        self.requests += 1
        method, path, version = request_line.split(" ")
        if version != "HTTP/1.1" or "Host" not in fields:
            raise ValueError("no request of HTTP/1.1")
        if self.silent:
            return []
        if self.retry_after_s:
            return self._respond(conn, 503, {}, [("Retry-After", str(self.retry_after_s))])
        if not self._is_authorized(method, path, fields):
            self.unauthorized += 1
            return self._respond(conn, 401, _error_body("NoValidSession"))
        status, content, headers = self._dispatch(method, path, fields, body, now)
        return self._respond(conn, status, content, headers)

    def _respond(
        self, conn: int, status: int, content: object, headers: list[tuple[str, str]] | None = None
    ) -> TcpReplies:
        text = b"" if status == HTTPStatus.NO_CONTENT else json.dumps(content, indent=2).encode()
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "OData-Version: 4.0"]
        lines += [f"{name}: {value}" for name, value in headers or []]
        if self.closes_connections:
            lines.append("Connection: close")
        if self.chunked and text:
            lines.append("Transfer-Encoding: chunked")
            half = len(text) // 2
            chunks = (text[:half], text[half:], b"")
            text = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
        elif text:
            lines.append(f"Content-Length: {len(text)}")
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        out: TcpReplies = [(conn, self.response_us, head + text)]
        return [*out, (conn, self.response_us, None)] if self.closes_connections else out

    def _is_authorized(self, method: str, path: str, fields: dict[str, str]) -> bool:
        if self.login is None or (method == "POST" and path == _ROOT + "/SessionService/Sessions"):
            return True
        credentials = base64.b64encode(":".join(self.login).encode()).decode()
        if fields.get("Authorization") == "Basic " + credentials:
            return True
        token = fields.get("X-Auth-Token", "")
        uses_left = self._tokens.get(token, 0)
        if uses_left > 0:
            self._tokens[token] = uses_left - 1
        return uses_left > 0

    def _dispatch(
        self, method: str, path: str, fields: dict[str, str], body: bytes, now: int
    ) -> tuple[int, object, list[tuple[str, str]]]:
        segments = path.removeprefix(_ROOT + "/").split("/")
        if segments == ["SessionService", "Sessions"] and method == "POST":
            return self._create_session(json.loads(body))
        load = self.loads.get(segments[1]) if len(segments) > 1 else None
        if load is None:
            return 404, _error_body("ResourceMissingAtURI"), []
        if segments[0] == "Systems" and segments[2:] == ["Actions", "ComputerSystem.Reset"]:
            is_on = json.loads(body)["ResetType"] == "On"
            self.resets.append((now, load.name, is_on))
            if not self.ignores_resets:
                load.switch(is_on, now)
            return 204, None, []
        schema = "Power" if load.name in self.legacy_names else "EnvironmentMetrics"
        schemas = ("EnvironmentMetrics", "Power") if load.name in self.both_names else (schema,)
        if segments[0] != "Chassis" or len(segments) != 3 or segments[2] not in schemas:
            return 404, _error_body("ResourceMissingAtURI"), []
        is_older = segments[2] == "Power"
        tag = f'W/"{self._version}"'
        if method == "GET":
            return 200, self._resource(load, is_older, now), [("ETag", tag)]
        if self.requires_etag and fields.get("If-Match") != tag:
            return (412 if "If-Match" in fields else 428), _error_body("PreconditionFailed"), []
        return self._patch(load, json.loads(body), is_older, now)

    def _create_session(self, body: dict[str, str]) -> tuple[int, object, list[tuple[str, str]]]:
        if self.login is None or (body["UserName"], body["Password"]) != self.login:
            return 401, _error_body("NoValidSession"), []
        self.logins += 1
        token = f"token{self.logins}"
        self._tokens[token] = self.token_uses
        return 201, {"Id": str(self.logins)}, [("X-Auth-Token", token)]

    def _patch(
        self, load: CappedLoad, body: dict[str, object], is_older: bool, now: int
    ) -> tuple[int, object, list[tuple[str, str]]]:
        watts = _parse_limit(body, is_older)
        if self.rejects_limits or not self.min_fraction * load.rated_w <= watts <= load.rated_w:
            return 400, _error_body("PropertyValueOutOfRange"), []
        self._version += 1
        self.patches.append((now, load.name, watts))
        self.limits_w[load.name] = watts
        if not (self.limits_deferred or self.ignores_limits):
            load.set_limit(watts, now)
        return 204, None, []

    def _resource(self, load: CappedLoad, is_older: bool, now: int) -> dict[str, object]:
        watts = round(load.watts(now) * self.power_scale, 1)
        if is_older:
            limit = {"LimitInWatts": self.limits_w[load.name], "LimitException": "LogEventOnly"}
            control = {"PowerConsumedWatts": watts, "PowerCapacityWatts": int(load.rated_w)}
            return {"PowerControl": [{**control, "PowerLimit": limit}]}
        limits: dict[str, object] = {
            "SetPoint": self.limits_w[load.name],
            "AllowableMin": int(self.min_fraction * load.rated_w),
            "AllowableMax": int(load.rated_w),
            "ControlMode": "Automatic",
        }
        resource: dict[str, object] = {"PowerWatts": {"Reading": watts}, "PowerLimitWatts": limits}
        read_case_c = self.case_c.get(load.name)
        if read_case_c is not None:
            shown_c = read_case_c() if self.shown_case_c is None else self.shown_case_c
            case_c = round(shown_c) if load.is_on else None
            resource["TemperatureCelsius"] = {"Reading": case_c}
        return resource


def _parse_limit(body: dict[str, object], legacy: bool) -> int:
    if not legacy:
        limit = body["PowerLimitWatts"]
        assert isinstance(limit, dict)
        return int(limit["SetPoint"])
    controls = body["PowerControl"]
    assert isinstance(controls, list)
    return int(controls[0]["PowerLimit"]["LimitInWatts"])


def _error_body(message: str) -> dict[str, object]:
    return {"error": {"code": "Base.1.0." + message, "@Message.ExtendedInfo": []}}
