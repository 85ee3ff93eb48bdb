"""An emulated Redfish service: systems whose power is limited, in two generations of the schema.

Sans-IO like the broker: every call returns (connection, delay in µs, bytes; None closes). HTTP is
read with Python's own `http` and `email` packages, which know nothing of our client. It serves

    POST  /redfish/v1/SessionService/Sessions              a token in X-Auth-Token
    GET, PATCH /redfish/v1/Chassis/NAME/EnvironmentMetrics PowerLimitWatts (the newer schema)
    GET, PATCH /redfish/v1/Chassis/NAME/Power              PowerControl[0].PowerLimit (the older)
    POST  /redfish/v1/Systems/NAME/Actions/ComputerSystem.Reset   On, GracefulShutdown, ForceOff

Faults, plain attributes that may change at any time: busy (503 with Retry-After: so many seconds),
silent (takes requests, answers nothing), down (connections are closed), forgetful (`reboot` loses
limits), refuse (limits are turned down with 400), slow_us (of every answer), token_uses (a token
serves so many requests), tags (a PATCH needs the right If-Match), chunked, closing (one request a
connection), deferred (a limit acts after `reboot`).
"""

from __future__ import annotations

import base64
import email.parser
import json
from http import HTTPStatus

from hil.devices.base import MILLISECOND, NEVER
from hil.devices.power.capped_load import CappedLoad

Output = list[tuple[int, int, bytes | None]]
_ROOT = "/redfish/v1"
_ANSWER_US = 40 * MILLISECOND
"""What a board's web server takes for an answer (assumed; measured boards take 20 to 500 ms)."""
_MOST = 65_536


class RedfishBmc:
    """The service in front of `loads`; `older` names those with the older schema."""

    def __init__(
        self,
        loads: list[CappedLoad],
        older: tuple[str, ...] = (),
        login: tuple[str, str] | None = None,
        floor: float = 0.25,
    ) -> None:
        """`floor`: limits below this share of the rating are turned down."""
        self.loads = {load.name: load for load in loads}
        self.older = older
        self.login = login
        self.floor = floor
        self.busy = 0
        self.silent = self.down = self.refuse = self.tags = self.chunked = self.closing = False
        self.deferred = False
        self.slow_us = _ANSWER_US
        self.token_uses = 1_000_000
        self.set_w: dict[str, int] = {load.name: int(load.rated_w) for load in loads}
        self.patches: list[tuple[int, str, int]] = []
        self.requests = self.logins = self.denied = 0
        self._buffers: dict[int, bytes] = {}
        self._tokens: dict[str, int] = {}
        self._version = 0

    def reboot(self, now: int) -> None:
        """Restart the machines: limits that were set are lost, or act from now on if deferred."""
        self._tokens.clear()
        for name, load in self.loads.items():
            if not self.deferred:
                self.set_w[name] = int(load.rated_w)
            load.limit(self.set_w[name], now, 0)

    # Connections.

    def opened(self, conn: int, now: int) -> Output:
        """A client connects."""
        if self.down:
            return [(conn, 0, None)]
        self._buffers[conn] = b""
        return []

    def closed(self, conn: int, now: int) -> Output:
        """A client is gone."""
        self._buffers.pop(conn, None)
        return []

    def wake(self, now: int) -> Output:
        """Nothing happens by itself."""
        return []

    def deadline(self) -> int:
        """Never."""
        return NEVER

    def receive(self, conn: int, data: bytes, now: int) -> Output:
        """Bytes of a client."""
        if self.down or conn not in self._buffers:
            return [(conn, 0, None)]
        buffer = self._buffers[conn] + data
        out: Output = []
        while b"\r\n\r\n" in buffer:
            head, _, rest = buffer.partition(b"\r\n\r\n")
            first, _, lines = head.partition(b"\r\n")
            fields = email.parser.BytesParser().parsebytes(lines + b"\r\n\r\n", headersonly=True)
            length = int(fields.get("Content-Length", "0"))
            if len(rest) < length:
                break
            buffer = rest[length:]
            out += self._request(conn, first.decode(), dict(fields), rest[:length], now)
        self._buffers[conn] = buffer[:_MOST]
        return out

    # Requests.

    def _request(
        self, conn: int, first: str, fields: dict[str, str], body: bytes, now: int
    ) -> Output:
        self.requests += 1
        method, path, version = first.split(" ")
        assert version == "HTTP/1.1", version
        assert "Host" in fields
        if self.silent:
            return []
        if self.busy:
            return self._answer(conn, 503, {}, [("Retry-After", str(self.busy))])
        if not self._admitted(method, path, fields):
            self.denied += 1
            return self._answer(conn, 401, _error("NoValidSession"))
        status, shown, more = self._act(method, path, fields, body, now)
        return self._answer(conn, status, shown, more)

    def _answer(
        self, conn: int, status: int, shown: object, more: list[tuple[str, str]] | None = None
    ) -> Output:
        text = b"" if status == HTTPStatus.NO_CONTENT else json.dumps(shown, indent=2).encode()
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "OData-Version: 4.0"]
        lines += [f"{name}: {value}" for name, value in more or []]
        if self.closing:
            lines.append("Connection: close")
        if self.chunked and text:
            lines.append("Transfer-Encoding: chunked")
            half = len(text) // 2
            pieces = (text[:half], text[half:], b"")
            text = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces)
        elif text:
            lines.append(f"Content-Length: {len(text)}")
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        out: Output = [(conn, self.slow_us, head + text)]
        return [*out, (conn, self.slow_us, None)] if self.closing else out

    def _admitted(self, method: str, path: str, fields: dict[str, str]) -> bool:
        if self.login is None or (method == "POST" and path == _ROOT + "/SessionService/Sessions"):
            return True
        pair = base64.b64encode(":".join(self.login).encode()).decode()
        if fields.get("Authorization") == "Basic " + pair:
            return True
        token = fields.get("X-Auth-Token", "")
        left = self._tokens.get(token, 0)
        if left > 0:
            self._tokens[token] = left - 1
        return left > 0

    def _act(
        self, method: str, path: str, fields: dict[str, str], body: bytes, now: int
    ) -> tuple[int, object, list[tuple[str, str]]]:
        words = path.removeprefix(_ROOT + "/").split("/")
        if words == ["SessionService", "Sessions"] and method == "POST":
            return self._session(json.loads(body))
        load = self.loads.get(words[1]) if len(words) > 1 else None
        if load is None:
            return 404, _error("ResourceMissingAtURI"), []
        if words[0] == "Systems" and words[2:] == ["Actions", "ComputerSystem.Reset"]:
            load.switch(json.loads(body)["ResetType"] == "On", now)
            return 204, None, []
        schema = "Power" if load.name in self.older else "EnvironmentMetrics"
        if words[0] != "Chassis" or words[2:] != [schema]:
            return 404, _error("ResourceMissingAtURI"), []
        tag = f'W/"{self._version}"'
        if method == "GET":
            return 200, self._shown(load, now), [("ETag", tag)]
        if self.tags and fields.get("If-Match") != tag:
            return (412 if "If-Match" in fields else 428), _error("PreconditionFailed"), []
        return self._patch(load, json.loads(body), now)

    def _session(self, body: dict[str, str]) -> tuple[int, object, list[tuple[str, str]]]:
        if self.login is None or (body["UserName"], body["Password"]) != self.login:
            return 401, _error("NoValidSession"), []
        self.logins += 1
        token = f"token{self.logins}"
        self._tokens[token] = self.token_uses
        return 201, {"Id": str(self.logins)}, [("X-Auth-Token", token)]

    def _patch(
        self, load: CappedLoad, body: dict[str, object], now: int
    ) -> tuple[int, object, list[tuple[str, str]]]:
        watts = _limit(body, load.name in self.older)
        if self.refuse or not self.floor * load.rated_w <= watts <= load.rated_w:
            return 400, _error("PropertyValueOutOfRange"), []
        self._version += 1
        self.patches.append((now, load.name, watts))
        self.set_w[load.name] = watts
        if not self.deferred:
            load.limit(watts, now)
        return 204, None, []

    def _shown(self, load: CappedLoad, now: int) -> dict[str, object]:
        watts = round(load.watts(now), 1)
        if load.name in self.older:
            limit = {"LimitInWatts": self.set_w[load.name], "LimitException": "LogEventOnly"}
            control = {"PowerConsumedWatts": watts, "PowerCapacityWatts": int(load.rated_w)}
            return {"PowerControl": [{**control, "PowerLimit": limit}]}
        limits: dict[str, object] = {
            "SetPoint": self.set_w[load.name],
            "AllowableMin": int(self.floor * load.rated_w),
            "AllowableMax": int(load.rated_w),
            "ControlMode": "Automatic",
        }
        return {"PowerWatts": {"Reading": watts}, "PowerLimitWatts": limits}


def _limit(body: dict[str, object], older: bool) -> int:
    if not older:
        limit = body["PowerLimitWatts"]
        assert isinstance(limit, dict)
        return int(limit["SetPoint"])
    controls = body["PowerControl"]
    assert isinstance(controls, list)
    return int(controls[0]["PowerLimit"]["LimitInWatts"])


def _error(message: str) -> dict[str, object]:
    return {"error": {"code": "Base.1.0." + message, "@Message.ExtendedInfo": []}}
