# SPDX-License-Identifier: Apache-2.0
"""Client of one Redfish service: power limits of servers and GPUs, power on and off, readings.

Sans-IO: the caller owns the connection. It reports connect, disconnect and received bytes. After
every call it sends the bytes of `take_output` and checks `close_requested`. Does not decide whether
a limit is in force; see `drivers.redfish.target`.

Order of requests: login, limits (increases last, so that reductions of heat go first), power
on/off, readings. One request is pending at a time. If a limit is due and a reading has waited
`_READ_TIMEOUT_US` for its answer, the client requests a new connection.

Secrets: name and password are only in the output bytes, a token only there and in this object. No
text of this module contains them.

Source: DMTF DSP0266 (protocol, sessions, 503 with Retry-After).
"""

import binascii
import json

from drivers.redfish.target import (
    LIMIT,
    READ,
    REJECT_PAUSE,
    SWITCH,
    apply_reading,
    limit_body,
)
from protocols.errors import DecodeError
from protocols.http import ResponseReader, build_request
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.redfish.target import RedfishTarget
    from protocols.http import Response

SESSIONS = "/redfish/v1/SessionService/Sessions"
_REPLY_TIMEOUT_US = 5 * SECOND
_READ_TIMEOUT_US = 500 * MILLISECOND
_LOGIN_PAUSE_US = 15 * SECOND
_MAX_PAUSE_S = 30
_LOGIN = 0
_UNAUTHORIZED = (401, 403)
_BUSY = (429, 503)


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
            if target.limit_due < due:
                due = target.limit_due
            if target.switch_due < due:
                due = target.switch_due
            if target.read_due < due:
                due = target.read_due
        return due if due > self._pause_until else self._pause_until

    def _reply_deadline(self) -> int:
        """Return the timeout of the pending request; shorter for a reading if a limit is due."""
        is_read = self._pending is not None and self._pending[0] == READ
        is_urgent = is_read and True in [
            target.limit_due <= self._sent_at + _REPLY_TIMEOUT_US for target in self.targets
        ]
        return self._sent_at + (_READ_TIMEOUT_US if is_urgent else _REPLY_TIMEOUT_US)

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
        if dropped is not None and dropped[0] in (LIMIT, SWITCH):
            self.targets[dropped[1]].make_due(dropped[0], 0)

    # Requests of the owner.

    def set_limit(self, index: int, watts: int, now: int) -> None:
        """Limit a target to `watts`; sends immediately if no request is pending."""
        if self.targets[index].request_limit(watts, now):
            self._send_next(now)

    def set_power(self, index: int, on: bool, now: int, force: bool = False) -> None:
        """Switch the system of a target on or off; `force`: again, and without a shutdown."""
        if self.targets[index].request_power(on, now, force):
            self._send_next(now)

    def note_off(self, index: int) -> None:
        """Note that the system of a target was switched off before a restart."""
        self.targets[index].note_off()

    def watch(self, index: int, duration: int, now: int) -> None:
        """Read a target each second for `duration` from now on."""
        self.targets[index].watch(duration, now)

    def _send_next(self, now: int) -> None:
        """Send the next due request, if none is pending."""
        if not self.connected or self._pending is not None or now < self._pause_until:
            return
        if self._session and not self._token:
            self._log_in(now)
            return
        selected = self._most_urgent(now)
        if selected is not None:
            action, index = selected
            self._send_request(action, index, now)

    def _most_urgent(self, now: int) -> "tuple[int, int] | None":
        """Return (action, index of the target) of the most urgent due request, or None."""
        increase = None
        for i, target in enumerate(self.targets):
            if target.limit_due <= now:
                if not target.is_increase:
                    return LIMIT, i
                increase = (LIMIT, i)
        for i, target in enumerate(self.targets):
            if target.switch_due <= now:
                return SWITCH, i
        if increase is not None:
            return increase
        due = [(target.read_due, i) for i, target in enumerate(self.targets)]
        first = min(due) if due else (NEVER, 0)
        return (READ, first[1]) if first[0] <= now else None

    # Requests to the service.

    def _send_request(self, action: int, index: int, now: int) -> None:
        target = self.targets[index]
        if action == LIMIT:
            target.limit_sent(now)
            etag = target.etag if target.needs_etag else ""
            self._queue_request("PATCH", target.path, limit_body(target), now, etag)
        elif action == SWITCH:
            target.make_due(SWITCH, NEVER)
            off = "ForceOff" if target.forced_off else "GracefulShutdown"
            body = {"ResetType": "On" if target.power_on else off}
            path = target.system + "/Actions/ComputerSystem.Reset"
            self._queue_request("POST", path, json.dumps(body).encode(), now)
        else:
            target.read_sent(now)
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
        action, index = self._pending or (READ, 0)
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
        elif action == LIMIT:
            self.targets[index].limit_answered(status, now)
        elif action == READ:
            self._on_reading(self.targets[index], response, now)
        elif status >= 300:
            self.targets[index].make_due(SWITCH, now + REJECT_PAUSE)

    def _retry_at(self, action: int, index: int, due: int) -> None:
        """Schedule a failed request again for `due`."""
        if self.targets and action != _LOGIN:
            self.targets[index].retry(action, due)

    def _on_busy(self, action: int, index: int, response: "Response", now: int) -> None:
        text = response.get_field("retry-after")
        seconds = int(text) if text.strip("0123456789") == "" and 0 < len(text) < 6 else 1
        self.fault = "busy"
        self._pause_until = now + max(1, min(seconds, _MAX_PAUSE_S)) * SECOND
        self._retry_at(action, index, self._pause_until)

    def _on_login(self, response: "Response", now: int) -> None:
        token = response.get_printable("x-auth-token")
        if response.status in (200, 201) and token:
            self._token = token
            return
        self.fault = "login refused with %d" % response.status
        self._pause_until = now + _LOGIN_PAUSE_US

    def _on_denied(self, action: int, index: int, now: int) -> None:
        """Log in again after an expired token. After a wrong password, wait `_LOGIN_PAUSE_US`."""
        self._retry_at(action, index, now)
        if self._token:
            self._token = ""
            return
        self.fault = "access refused"
        self._pause_until = now + _LOGIN_PAUSE_US

    def _on_reading(self, target: "RedfishTarget", response: "Response", now: int) -> None:
        if response.status != 200:
            self.fault = "status %d for a reading" % response.status
            target.make_due(READ, now + REJECT_PAUSE)
            return
        target.take_etag(response.get_printable("etag"))
        try:
            if response.body.rstrip()[-1:] != b"}":
                raise ValueError  # MicroPython accepts a truncated object
            apply_reading(target, json.loads(response.body))
        except (ValueError, AttributeError, TypeError, LookupError):
            self.fault = "a reading that is not Redfish"
            return
        target.check_limit(now, self._sent_at)
