"""Power limits of servers and GPUs behind one Redfish service: told, re-read, told again.

Sans-IO: the caller owns the connection. It says when that is up, down or has bytes, and after every
call sends what `out` gives and looks at `hang_up`. Two generations of the schema are spoken:

    environment   PATCH .../EnvironmentMetrics {"PowerLimitWatts": {"SetPoint": W, "ControlMode":
                  "Automatic"}}; allowed are AllowableMin to AllowableMax, if the service says so
    power         PATCH .../Power {"PowerControl": [{"PowerLimit": {"LimitInWatts": W, ...}}]}

What was taken is not believed: the limit is read back until it is there. A service may take its
time (`effect_us`, or `deferred` until it is restarted); one that shows another limit after that, or
lost it in a restart, is told again. A limit is always a number: the rated power is "no limit".

Order: a login, limits (the lowest rise last, so what saves heat goes first), switching, readings.
One request is on its way at a time. When a limit has to go out and a mere reading has been
waiting for its answer for `_PATIENCE`, the connection is made anew.

Secrets: name and password are only in the bytes of `out`, a token only there and here; neither is
in any text that this module gives.

Source: DMTF DSP0266 (protocol, sessions, 503 with Retry-After), DSP2046 (the two schemas).
"""

import binascii
import json

from protocols.errors import DecodeError
from protocols.http import Reader, request
from protocols.rounding import of_decimal
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protocols.http import Response

ENVIRONMENT, POWER = "environment", "power"
SESSIONS = "/redfish/v1/SessionService/Sessions"
_ANSWER = 5 * SECOND
_PATIENCE = 500 * MILLISECOND
_POLL = 10 * SECOND
_CONFIRM = SECOND
_AGAIN = 10 * SECOND
_REFUSED = 30 * SECOND
_LOGIN_PAUSE = 15 * SECOND
_LONGEST_PAUSE_S = 30
_STUBBORN_AFTER = 3
_LOGIN, _LIMIT, _SWITCH, _READ = 0, 1, 2, 3
_GONE = (401, 403)
_BUSY = (429, 503)
_STALE_TAG = (412, 428)


class Target:
    """One thing whose power can be limited.

    `wanted` and `shown` are watts (`shown` as last read), `low` and `high` what the service allows,
    `watts` its power as last read at `read_at`. `refused` is the HTTP status that turned the last
    limit down, 0 if none did. `stubborn`: it goes on to show another limit.
    """

    def __init__(
        self, path: str, schema: str, effect_us: int = 0, deferred: bool = False, system: str = ""
    ) -> None:
        self.path = path
        self.schema = schema
        self.effect_us = effect_us
        self.deferred = deferred
        self.system = system
        self.wanted: int | None = None
        self.shown: int | None = None
        self.low: int | None = None
        self.high: int | None = None
        self.watts: int | None = None
        self.read_at = 0
        self.refused = 0
        self.stubborn = False
        self.on = True
        self.told = 0
        self.tag = ""
        self.tagged = False  # the service wants to be told which state is changed
        self.limit_due = NEVER
        self.switch_due = NEVER
        self.read_due = 0
        self.taken_at: int | None = None
        self.misses = 0

    @property
    def asked(self) -> "int | None":
        """What is asked for: `wanted`, held within what the service allows."""
        watts = self.wanted
        if watts is None:
            return None
        if self.high is not None and watts > self.high:
            watts = self.high
        if self.low is not None and watts < self.low:
            watts = self.low
        return watts

    @property
    def in_force(self) -> bool:
        """Whether the limit that is asked for was seen."""
        return self.wanted is not None and self.shown == self.asked and not self.deferred

    @property
    def rises(self) -> bool:
        """Whether what is to be told gives more power than now."""
        return self.shown is not None and (self.asked or 0) > self.shown


class Redfish:
    """The service at `host`. `login` is (name, password) or None; `session`: by token, not basic.

    `hang_up` is "", or the caller ends the connection and makes a new one: "again" at once,
    "later" after a pause, since this one was of no use.
    """

    def __init__(
        self, host: str, targets: "list[Target]", login: "tuple[str, str] | None", session: bool
    ) -> None:
        self.targets = targets
        self.hang_up = ""
        self.up = False
        self.useful = False
        self.answers = 0
        self.trouble = ""
        self._host = host
        self._login = login
        self._session = session and login is not None
        self._token = ""
        self._quiet_until = 0
        self._logins = 0
        self._reader = Reader()
        self._job: tuple[int, int] | None = None
        self._sent_at = 0
        self._out: list[bytes] = []

    # The connection.

    def opened(self, now: int) -> None:
        """The connection is up."""
        self.up = True
        self.useful = False
        self._reader.reset()
        self._drop()
        self._next(now)

    def closed(self, now: int) -> None:
        """The connection is down; what was on its way is told again when it is back."""
        response = self._reader.closed() if self._job is not None else None
        self.up = False
        if response is not None:
            self._answered(response, now)
        self._drop()

    def receive(self, data: bytes, now: int) -> None:
        """Bytes came."""
        try:
            responses = self._reader.take(data)
        except DecodeError as error:
            self._break(str(error))
            return
        for response in responses:
            if self._job is None:
                self._break("a response that nothing asked for")
                return
            self._answered(response, now)
            if response.ends():
                self._hang_up()
                return
        self._next(now)

    def wake(self, now: int) -> None:
        """Time passed."""
        if self._job is not None:
            if now >= self._patience():
                self._break("no answer")
            return
        self._next(now)

    def deadline(self) -> int:
        """Give the time at which `wake` wants to be called."""
        if not self.up or self.hang_up:
            return NEVER
        if self._job is not None:
            return self._patience()
        due = NEVER
        for target in self.targets:
            due = min(due, target.limit_due, target.switch_due, target.read_due)
        return max(due, self._quiet_until)

    def _patience(self) -> int:
        """How long what is on its way is waited for; a reading gives way to a limit."""
        reading = self._job is not None and self._job[0] == _READ
        urgent = reading and True in [t.limit_due <= self._sent_at + _ANSWER for t in self.targets]
        return self._sent_at + (_PATIENCE if urgent else _ANSWER)

    def out(self) -> "list[bytes]":
        """Hand over what is to be sent."""
        out, self._out = self._out, []
        return out

    def _break(self, why: str) -> None:
        self.trouble = why
        self._hang_up()

    def _hang_up(self) -> None:
        self.up = False
        self._drop()
        self._reader.reset()
        self.hang_up = "again" if self.useful else "later"

    def _drop(self) -> None:
        """Forget what is on its way; a limit or a switching is told again at once."""
        self._out = []
        job, self._job = self._job, None
        if job is not None and job[0] == _LIMIT:
            self.targets[job[1]].limit_due = 0
            self.targets[job[1]].taken_at = None
        elif job is not None and job[0] == _SWITCH:
            self.targets[job[1]].switch_due = 0

    # Wishes.

    def want(self, index: int, watts: int, now: int) -> None:
        """Limit a target to `watts`; at once if the service has nothing else on its way."""
        target = self.targets[index]
        if target.wanted == watts:
            return
        target.wanted = watts
        target.misses = 0
        if target.shown is None or target.asked != target.shown or target.taken_at is not None:
            target.limit_due = now
            self._next(now)

    def switch(self, index: int, on: bool, now: int) -> None:
        """Turn a target's system off or on."""
        target = self.targets[index]
        if target.on != on and target.system:
            target.on = on
            target.switch_due = now
            self._next(now)

    def _next(self, now: int) -> None:
        """Send what is due, if nothing is on its way."""
        if not self.up or self._job is not None or now < self._quiet_until:
            return
        if self._session and not self._token:
            self._log_in(now)
            return
        chosen = self._chosen(now)
        if chosen is not None:
            self._ask(chosen[0], chosen[1], now)

    def _chosen(self, now: int) -> "tuple[int, int] | None":
        """What is most urgent: (what, index of the target)."""
        rising = None
        for i, target in enumerate(self.targets):
            if target.limit_due <= now:
                if not target.rises:
                    return _LIMIT, i
                rising = (_LIMIT, i)
        for i, target in enumerate(self.targets):
            if target.switch_due <= now:
                return _SWITCH, i
        if rising is not None:
            return rising
        due = [(target.read_due, i) for i, target in enumerate(self.targets)]
        first = min(due) if due else (NEVER, 0)
        return (_READ, first[1]) if first[0] <= now else None

    # Requests.

    def _ask(self, what: int, index: int, now: int) -> None:
        target = self.targets[index]
        if what == _LIMIT:
            target.limit_due = NEVER
            target.told += 1
            target.taken_at = now
            tag = target.tag if target.tagged else ""
            self._send("PATCH", target.path, limit_body(target), now, tag)
        elif what == _SWITCH:
            target.switch_due = NEVER
            body = {"ResetType": "On" if target.on else "GracefulShutdown"}
            path = target.system + "/Actions/ComputerSystem.Reset"
            self._send("POST", path, json.dumps(body).encode(), now)
        else:
            target.read_due = now + _POLL
            self._send("GET", target.path, b"", now)
        self._job = (what, index)

    def _send(self, method: str, path: str, body: bytes, now: int, tag: str = "") -> None:
        fields = [("Accept", "application/json")]
        if body:
            fields.append(("Content-Type", "application/json"))
        if tag:
            fields.append(("If-Match", tag))
        if self._token:
            fields.append(("X-Auth-Token", self._token))
        elif self._login is not None and not self._session:
            pair = (self._login[0] + ":" + self._login[1]).encode()
            fields.append(("Authorization", "Basic " + binascii.b2a_base64(pair).decode().strip()))
        self._out.append(request(method, self._host, path, fields, body))
        self._sent_at = now

    def _log_in(self, now: int) -> None:
        if self._login is None:
            return
        name, password = self._login
        body = '{"UserName": %s, "Password": %s}' % (json.dumps(name), json.dumps(password))
        self._send("POST", SESSIONS, body.encode(), now)
        self._job = (_LOGIN, 0)

    # Answers.

    def _answered(self, response: "Response", now: int) -> None:
        what, index = self._job or (_READ, 0)
        self._job = None
        self.answers += 1
        self.useful = True
        self.trouble = ""
        status = response.status
        if status in _BUSY:
            self._busy(what, index, response, now)
        elif what == _LOGIN:
            self._logged_in(response, now)
        elif status in _GONE:
            self._denied(what, index, now)
        elif what == _LIMIT:
            self._limited(self.targets[index], status, now)
        elif what == _READ:
            self._was_read(self.targets[index], response, now)
        elif status >= 300:
            self.targets[index].switch_due = now + _REFUSED

    def _later(self, what: int, index: int, due: int) -> None:
        """Do again at `due` what came to nothing."""
        target = self.targets[index] if self.targets else None
        if target is not None and what == _LIMIT:
            target.limit_due = min(target.limit_due, due)
            target.taken_at = None
        elif target is not None and what == _SWITCH:
            target.switch_due = min(target.switch_due, due)
        elif target is not None and what == _READ:
            target.read_due = due

    def _busy(self, what: int, index: int, response: "Response", now: int) -> None:
        text = response.field("retry-after")
        seconds = int(text) if text.strip("0123456789") == "" and 0 < len(text) < 6 else 1
        self.trouble = "busy"
        self._quiet_until = now + max(1, min(seconds, _LONGEST_PAUSE_S)) * SECOND
        self._later(what, index, self._quiet_until)

    def _logged_in(self, response: "Response", now: int) -> None:
        token = response.field("x-auth-token")
        if response.status in (200, 201) and token:
            self._token = token
            return
        self.trouble = "login refused with %d" % response.status
        self._quiet_until = now + _LOGIN_PAUSE

    def _denied(self, what: int, index: int, now: int) -> None:
        """A token came to its end: log in again. A password that is wrong: try seldom."""
        self._later(what, index, now)
        if self._token:
            self._token = ""
            return
        self.trouble = "access refused"
        self._quiet_until = now + _LOGIN_PAUSE

    def _limited(self, target: Target, status: int, now: int) -> None:
        if status < 300:
            target.refused = 0
            target.read_due = now + _CONFIRM
            return
        target.read_due = now  # what it allows, or its present tag
        target.taken_at = None
        if status in _STALE_TAG and target.misses < _STUBBORN_AFTER:
            target.misses += 1
            target.limit_due = now + 1  # behind the reading
            target.tagged = True
            return
        target.refused = status
        target.limit_due = now + _REFUSED

    def _was_read(self, target: Target, response: "Response", now: int) -> None:
        if response.status != 200:
            self.trouble = "status %d for a reading" % response.status
            target.read_due = now + _REFUSED
            return
        target.tag = response.field("etag")
        try:
            if response.body.rstrip()[-1:] != b"}":
                raise ValueError  # MicroPython takes half an object for a whole one
            understand(target, json.loads(response.body))
        except (ValueError, AttributeError, TypeError, LookupError):
            self.trouble = "a reading that is not Redfish"
            return
        target.read_at = now
        self._judge(target, now)

    def _judge(self, target: Target, now: int) -> None:
        """Hold the limit that was read against the one that is wanted."""
        if target.wanted is None or (target.limit_due < NEVER and not target.refused):
            return
        if target.shown == target.asked:
            target.taken_at, target.misses, target.stubborn = None, 0, False
            target.refused = 0
            target.limit_due = NEVER
            return
        if target.refused:
            if target.low is not None and target.asked != target.wanted:
                target.refused = 0
                target.limit_due = now  # it was out of limits that are known by now
            return
        if target.taken_at is not None and (
            target.deferred or now - target.taken_at < target.effect_us
        ):
            target.read_due = min(target.read_due, now + (_POLL if target.deferred else _CONFIRM))
            return
        target.misses += target.taken_at is not None
        target.stubborn = target.misses >= _STUBBORN_AFTER
        target.limit_due = now + (_AGAIN if target.stubborn else 0)
        target.taken_at = None


def limit_body(target: Target) -> bytes:
    """Write the body that limits `target` to what is asked for."""
    watts = target.asked or 0
    if target.schema == ENVIRONMENT:
        text = '{"PowerLimitWatts": {"SetPoint": %d, "ControlMode": "Automatic"}}'
    else:
        text = (
            '{"PowerControl": [{"PowerLimit": {"LimitInWatts": %d, '
            '"LimitException": "LogEventOnly"}}]}'
        )
    return (text % watts).encode()


def understand(target: Target, found: "dict[str, Any]") -> None:
    """Take limit, allowed limits and power from what was read; what is absent stays unknown."""
    if target.schema == ENVIRONMENT:
        limit = found.get("PowerLimitWatts") or {}
        target.shown = _whole(limit.get("SetPoint"))
        target.low = _whole(limit.get("AllowableMin"))
        target.high = _whole(limit.get("AllowableMax"))
        target.watts = _whole((found.get("PowerWatts") or {}).get("Reading"))
        return
    control = found["PowerControl"][0]
    limit = control.get("PowerLimit") or {}
    target.shown = _whole(limit.get("LimitInWatts"))
    target.high = _whole(control.get("PowerCapacityWatts"))
    target.watts = _whole(control.get("PowerConsumedWatts"))


def _whole(value: object) -> "int | None":
    """Watts as a whole number; None for what is absent or no number that could be meant."""
    if type(value) is float and -1e9 < value < 1e9:
        return of_decimal(value)
    return value if type(value) is int and -(10**9) < value < 10**9 else None
