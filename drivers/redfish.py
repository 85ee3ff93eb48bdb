# SPDX-License-Identifier: Apache-2.0
"""Power limits of servers and GPUs behind one Redfish service: sent, read back, sent again.

Sans-IO: the caller owns the connection. It reports connect, disconnect and received bytes. After
every call it sends the bytes of `take_output` and checks `close_requested`. Two schemas are
supported:

    environment   PATCH .../EnvironmentMetrics {"PowerLimitWatts": {"SetPoint": W, "ControlMode":
                  "Automatic"}}; the range is AllowableMin to AllowableMax, if the service gives it
    power         PATCH .../Power {"PowerControl": [{"PowerLimit": {"LimitInWatts": W, ...}}]}

EnvironmentMetrics can have the temperature of the device (TemperatureCelsius). Such a target is
read each `_CASE_PERIOD`.

An accepted limit is not proof. The client reads the limit back until it shows the requested value.
A service can need time for this (`effect_us`, or `deferred` until its restart). If it then shows
another limit, or lost the limit in a restart, the client sends the limit again. A limit is always a
number: the rated power means "no limit".

Order of requests: login, limits (increases last, so that reductions of heat go first), power
on/off, readings. One request is pending at a time. If a limit is due and a reading has waited
`_READ_TIMEOUT` for its answer, the client requests a new connection.

Secrets: name and password are only in the output bytes, a token only there and in this object. No
text of this module contains them.

Source: DMTF DSP0266 (protocol, sessions, 503 with Retry-After), DSP2046 (the two schemas).
"""

import binascii
import json

from protocols.errors import DecodeError
from protocols.http import ResponseReader, build_request
from protocols.rounding import round_decimal
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protocols.http import Response

ENVIRONMENT, POWER = "environment", "power"
SESSIONS = "/redfish/v1/SessionService/Sessions"
_REPLY_TIMEOUT = 5 * SECOND
_READ_TIMEOUT = 500 * MILLISECOND
_POLL_PERIOD = 10 * SECOND
_CASE_PERIOD = 2 * SECOND
"""Period of the readings of a target that reports a temperature."""
_CONFIRM_PAUSE = SECOND
_RESEND_PAUSE = 10 * SECOND
_WATCH_TIME = 6 * SECOND
_REJECT_PAUSE = 30 * SECOND
_LOGIN_PAUSE = 15 * SECOND
_MAX_PAUSE_S = 30
_UNVERIFIED_AFTER = 3
_LOGIN, _LIMIT, _SWITCH, _READ = 0, 1, 2, 3
_UNAUTHORIZED = (401, 403)
_BUSY = (429, 503)
_STALE_ETAG = (412, 428)


class RedfishTarget:
    """One resource with a power limit, in whole watts.

    `requested_w` is the requested limit, `reported_w` the limit as last read, `min_w` and `max_w`
    the range that the service allows. `power_w` is the power as read at `read_at`.
    `rejected_status` is the HTTP status of the last rejected limit, or 0. `write_unverified`: the
    service still shows another limit after several writes. `answered_at`: the service
    has confirmed the last limit. Until `watch_until` it is read each second. `case_c` is the
    temperature of the device, °C, if the service reports it.
    """

    def __init__(
        self, path: str, schema: str, effect_us: int = 0, deferred: bool = False, system: str = ""
    ) -> None:
        self.path = path
        self.schema = schema
        self.effect_us = effect_us
        self.deferred = deferred
        self.system = system
        self.requested_w: int | None = None
        self.reported_w: int | None = None
        self.min_w: int | None = None
        self.max_w: int | None = None
        self.power_w: int | None = None
        self.case_c: float | None = None
        self.read_at = 0
        self.rejected_status = 0
        self.write_unverified = False
        self.power_on = True
        self.forced_off = False
        self.answered_at = 0
        self.watch_until = 0
        self.sent_count = 0
        self.etag = ""
        self.needs_etag = False  # the service requires If-Match with a limit
        self.limit_due = NEVER
        self.switch_due = NEVER
        self.read_due = 0
        self.accepted_at: int | None = None
        self.unverified_count = 0

    @property
    def target_w(self) -> "int | None":
        """`requested_w` limited to the range that the service allows."""
        watts = self.requested_w
        if watts is None:
            return None
        if self.max_w is not None and watts > self.max_w:
            watts = self.max_w
        if self.min_w is not None and watts < self.min_w:
            watts = self.min_w
        return watts

    @property
    def is_in_force(self) -> bool:
        """True if the service shows the requested limit."""
        return (
            self.requested_w is not None and self.reported_w == self.target_w and not self.deferred
        )

    @property
    def is_increase(self) -> bool:
        """True if the limit to send is higher than the limit now in force."""
        return self.reported_w is not None and (self.target_w or 0) > self.reported_w


class RedfishClient:
    """The Redfish service at `host`. `login` is (name, password) or None; `session` selects a
    token.

    If `close_requested` is not empty, the caller must end the connection and make a new one:
    "again" immediately, "later" after a pause, because this connection gave no answer.
    """

    def __init__(
        self,
        host: str,
        targets: "list[RedfishTarget]",
        login: "tuple[str, str] | None",
        session: bool,
    ) -> None:
        self.targets = targets
        self.close_requested = ""
        self.connected = False
        self.has_answered = False
        self.answer_count = 0
        self.fault = ""
        self._host = host
        self._login = login
        self._session = session and login is not None
        self._token = ""
        self._pause_until = 0
        self._logins = 0
        self._reader = ResponseReader()
        self._pending: tuple[int, int] | None = None
        self._sent_at = 0
        self._out: list[bytes] = []

    # Connection.

    def connection_opened(self, now: int) -> None:
        """Handle an established connection."""
        self.connected = True
        self.has_answered = False
        self._reader.reset()
        self._drop_pending()
        self._send_next(now)

    def connection_closed(self, now: int) -> None:
        """Handle a lost connection; the pending request is sent again after the next connect."""
        response = self._reader.finish() if self._pending is not None else None
        self.connected = False
        if response is not None:
            self._on_response(response, now)
        self._drop_pending()

    def receive(self, data: bytes, now: int) -> None:
        """Handle received bytes."""
        try:
            responses = self._reader.feed(data)
        except DecodeError as error:
            self._fail(str(error))
            return
        for response in responses:
            if self._pending is None:
                self._fail("a response that nothing asked for")
                return
            self._on_response(response, now)
            if response.closes_connection():
                self._request_close()
                return
        self._send_next(now)

    def wake(self, now: int) -> None:
        """Handle the passing of time."""
        if self._pending is not None:
            if now >= self._reply_deadline():
                self._fail("no answer")
            return
        self._send_next(now)

    def deadline(self) -> int:
        """Return the time of the next `wake`."""
        if not self.connected or self.close_requested:
            return NEVER
        if self._pending is not None:
            return self._reply_deadline()
        due = NEVER
        for target in self.targets:
            due = min(due, target.limit_due, target.switch_due, target.read_due)
        return max(due, self._pause_until)

    def _reply_deadline(self) -> int:
        """Return the timeout of the pending request; shorter for a reading if a limit is due."""
        is_read = self._pending is not None and self._pending[0] == _READ
        is_urgent = is_read and True in [
            t.limit_due <= self._sent_at + _REPLY_TIMEOUT for t in self.targets
        ]
        return self._sent_at + (_READ_TIMEOUT if is_urgent else _REPLY_TIMEOUT)

    def take_close_request(self) -> str:
        """Return and clear `close_requested`."""
        request, self.close_requested = self.close_requested, ""
        return request

    def take_output(self) -> "list[bytes]":
        """Return and clear the bytes to send."""
        output, self._out = self._out, []
        return output

    def _fail(self, reason: str) -> None:
        self.fault = reason
        self._request_close()

    def _request_close(self) -> None:
        self.connected = False
        self._drop_pending()
        self._reader.reset()
        self.close_requested = "again" if self.has_answered else "later"

    def _drop_pending(self) -> None:
        """Cancel the pending request; a limit or a power command becomes due immediately."""
        self._out = []
        dropped, self._pending = self._pending, None
        if dropped is not None and dropped[0] == _LIMIT:
            self.targets[dropped[1]].limit_due = 0
            self.targets[dropped[1]].accepted_at = None
        elif dropped is not None and dropped[0] == _SWITCH:
            self.targets[dropped[1]].switch_due = 0

    # Requests of the owner.

    def set_limit(self, index: int, watts: int, now: int) -> None:
        """Limit a target to `watts`; sends immediately if no request is pending."""
        target = self.targets[index]
        if target.requested_w == watts:
            return
        target.requested_w = watts
        target.unverified_count = 0
        self.watch(index, target.effect_us + _WATCH_TIME, now)
        if (
            target.reported_w is None
            or target.target_w != target.reported_w
            or target.accepted_at is not None
        ):
            target.limit_due = now
            self._send_next(now)

    def set_power(self, index: int, on: bool, now: int, force: bool = False) -> None:
        """Switch the system of a target on or off; `force`: again, and without a shutdown."""
        target = self.targets[index]
        if (force or target.power_on != on) and target.system:
            target.power_on, target.forced_off = on, force
            target.switch_due = now
            self.watch(index, _WATCH_TIME, now)
            self._send_next(now)

    def watch(self, index: int, duration: int, now: int) -> None:
        """Read a target each second for `duration` from now on."""
        target = self.targets[index]
        target.watch_until = max(target.watch_until, now + duration)
        target.read_due = min(target.read_due, now + _CONFIRM_PAUSE)

    def _send_next(self, now: int) -> None:
        """Send the next due request, if none is pending."""
        if not self.connected or self._pending is not None or now < self._pause_until:
            return
        if self._session and not self._token:
            self._log_in(now)
            return
        selected = self._most_urgent(now)
        if selected is not None:
            self._send_request(selected[0], selected[1], now)

    def _most_urgent(self, now: int) -> "tuple[int, int] | None":
        """Return (action, index of the target) of the most urgent due request, or None."""
        increase = None
        for i, target in enumerate(self.targets):
            if target.limit_due <= now:
                if not target.is_increase:
                    return _LIMIT, i
                increase = (_LIMIT, i)
        for i, target in enumerate(self.targets):
            if target.switch_due <= now:
                return _SWITCH, i
        if increase is not None:
            return increase
        due = [(target.read_due, i) for i, target in enumerate(self.targets)]
        first = min(due) if due else (NEVER, 0)
        return (_READ, first[1]) if first[0] <= now else None

    # Requests to the service.

    def _send_request(self, action: int, index: int, now: int) -> None:
        target = self.targets[index]
        if action == _LIMIT:
            target.limit_due = NEVER
            target.sent_count += 1
            target.accepted_at = now
            etag = target.etag if target.needs_etag else ""
            self._queue_request("PATCH", target.path, limit_body(target), now, etag)
        elif action == _SWITCH:
            target.switch_due = NEVER
            off = "ForceOff" if target.forced_off else "GracefulShutdown"
            body = {"ResetType": "On" if target.power_on else off}
            path = target.system + "/Actions/ComputerSystem.Reset"
            self._queue_request("POST", path, json.dumps(body).encode(), now)
        else:
            period = _POLL_PERIOD if target.case_c is None else _CASE_PERIOD
            target.read_due = now + (_CONFIRM_PAUSE if now < target.watch_until else period)
            self._queue_request("GET", target.path, b"", now)
        self._pending = (action, index)

    def _queue_request(self, method: str, path: str, body: bytes, now: int, etag: str = "") -> None:
        fields = [("Accept", "application/json")]
        if body:
            fields.append(("Content-Type", "application/json"))
        if etag:
            fields.append(("If-Match", etag))
        if self._token:
            fields.append(("X-Auth-Token", self._token))
        elif self._login is not None and not self._session:
            pair = (self._login[0] + ":" + self._login[1]).encode()
            fields.append(("Authorization", "Basic " + binascii.b2a_base64(pair).decode().strip()))
        self._out.append(build_request(method, self._host, path, fields, body))
        self._sent_at = now

    def _log_in(self, now: int) -> None:
        if self._login is None:
            return
        name, password = self._login
        body = '{"UserName": %s, "Password": %s}' % (json.dumps(name), json.dumps(password))
        self._queue_request("POST", SESSIONS, body.encode(), now)
        self._pending = (_LOGIN, 0)

    # Responses.

    def _on_response(self, response: "Response", now: int) -> None:
        action, index = self._pending or (_READ, 0)
        self._pending = None
        self.answer_count += 1
        self.has_answered = True
        self.fault = ""
        status = response.status
        if status in _BUSY:
            self._on_busy(action, index, response, now)
        elif action == _LOGIN:
            self._on_login(response, now)
        elif status in _UNAUTHORIZED:
            self._on_denied(action, index, now)
        elif action == _LIMIT:
            self._on_limit(self.targets[index], status, now)
        elif action == _READ:
            self._on_reading(self.targets[index], response, now)
        elif status >= 300:
            self.targets[index].switch_due = now + _REJECT_PAUSE

    def _retry_at(self, action: int, index: int, due: int) -> None:
        """Schedule a failed request again for `due`."""
        target = self.targets[index] if self.targets else None
        if target is not None and action == _LIMIT:
            target.limit_due = min(target.limit_due, due)
            target.accepted_at = None
        elif target is not None and action == _SWITCH:
            target.switch_due = min(target.switch_due, due)
        elif target is not None and action == _READ:
            target.read_due = due

    def _on_busy(self, action: int, index: int, response: "Response", now: int) -> None:
        text = response.get_field("retry-after")
        seconds = int(text) if text.strip("0123456789") == "" and 0 < len(text) < 6 else 1
        self.fault = "busy"
        self._pause_until = now + max(1, min(seconds, _MAX_PAUSE_S)) * SECOND
        self._retry_at(action, index, self._pause_until)

    def _on_login(self, response: "Response", now: int) -> None:
        token = response.get_field("x-auth-token")
        if response.status in (200, 201) and token:
            self._token = token
            return
        self.fault = "login refused with %d" % response.status
        self._pause_until = now + _LOGIN_PAUSE

    def _on_denied(self, action: int, index: int, now: int) -> None:
        """Log in again after an expired token. After a wrong password, wait `_LOGIN_PAUSE`."""
        self._retry_at(action, index, now)
        if self._token:
            self._token = ""
            return
        self.fault = "access refused"
        self._pause_until = now + _LOGIN_PAUSE

    def _on_limit(self, target: RedfishTarget, status: int, now: int) -> None:
        if status < 300:
            target.rejected_status = 0
            target.answered_at = now
            target.read_due = now + _CONFIRM_PAUSE
            return
        target.read_due = now  # reads the allowed range and the present tag
        target.accepted_at = None
        if status in _STALE_ETAG and target.unverified_count < _UNVERIFIED_AFTER:
            target.unverified_count += 1
            target.limit_due = now + 1  # after the reading
            target.needs_etag = True
            return
        target.rejected_status = status
        target.limit_due = now + _REJECT_PAUSE

    def _on_reading(self, target: RedfishTarget, response: "Response", now: int) -> None:
        if response.status != 200:
            self.fault = "status %d for a reading" % response.status
            target.read_due = now + _REJECT_PAUSE
            return
        target.etag = response.get_field("etag")
        try:
            if response.body.rstrip()[-1:] != b"}":
                raise ValueError  # MicroPython accepts a truncated object
            apply_reading(target, json.loads(response.body))
        except (ValueError, AttributeError, TypeError, LookupError):
            self.fault = "a reading that is not Redfish"
            return
        target.read_at = now
        self._check_limit(target, now)

    def _check_limit(self, target: RedfishTarget, now: int) -> None:
        """Compare the limit that was read with the requested one."""
        if target.requested_w is None or (target.limit_due < NEVER and not target.rejected_status):
            return
        if target.reported_w == target.target_w:
            target.accepted_at, target.unverified_count, target.write_unverified = None, 0, False
            target.rejected_status = 0
            target.limit_due = NEVER
            return
        if target.rejected_status:
            if target.min_w is not None and target.target_w != target.requested_w:
                target.rejected_status = 0
                target.limit_due = now  # the rejected limit was out of the range that is now known
            return
        if target.accepted_at is not None and (
            target.deferred or now - target.accepted_at < target.effect_us
        ):
            target.read_due = min(
                target.read_due, now + (_POLL_PERIOD if target.deferred else _CONFIRM_PAUSE)
            )
            return
        target.unverified_count += target.accepted_at is not None
        target.write_unverified = target.unverified_count >= _UNVERIFIED_AFTER
        target.limit_due = now + (_RESEND_PAUSE if target.write_unverified else 0)
        target.accepted_at = None


def limit_body(target: RedfishTarget) -> bytes:
    """Write the body of the request that sets the limit of `target`."""
    watts = target.target_w or 0
    if target.schema == ENVIRONMENT:
        text = '{"PowerLimitWatts": {"SetPoint": %d, "ControlMode": "Automatic"}}'
    else:
        text = (
            '{"PowerControl": [{"PowerLimit": {"LimitInWatts": %d, '
            '"LimitException": "LogEventOnly"}}]}'
        )
    return (text % watts).encode()


def apply_reading(target: RedfishTarget, reading: "dict[str, Any]") -> None:
    """Store limit, allowed range, power and temperature of a reading; absent values become None."""
    if target.schema == ENVIRONMENT:
        limit = reading.get("PowerLimitWatts") or {}
        target.reported_w = _to_watts(limit.get("SetPoint"))
        target.min_w = _to_watts(limit.get("AllowableMin"))
        target.max_w = _to_watts(limit.get("AllowableMax"))
        target.power_w = _to_watts((reading.get("PowerWatts") or {}).get("Reading"))
        celsius: Any = reading.get("TemperatureCelsius")
        target.case_c = _to_celsius(celsius.get("Reading") if type(celsius) is dict else celsius)
        return
    control = reading["PowerControl"][0]
    limit = control.get("PowerLimit") or {}
    target.reported_w = _to_watts(limit.get("LimitInWatts"))
    target.max_w = _to_watts(control.get("PowerCapacityWatts"))
    target.power_w = _to_watts(control.get("PowerConsumedWatts"))


def _to_watts(value: object) -> "int | None":
    """Return whole watts; None if the value is absent, not a number or out of +-1 GW."""
    if type(value) is float and -1e9 < value < 1e9:
        return round_decimal(value)
    return value if type(value) is int and -(10**9) < value < 10**9 else None


def _to_celsius(value: object) -> "float | None":
    """Return a temperature; None if it is absent, not a number or out of -40 to 200 °C."""
    if (type(value) is int or type(value) is float) and -40 <= value <= 200:
        return float(value)
    return None
