# SPDX-License-Identifier: Apache-2.0
"""Routes of the panel on an HTTP server of microdot: files, state, events, trends, actions.

Does not check what the agent may do; see `deploy.northbound.access`. All GET routes but the last
two are open, and none changes anything. A POST must be JSON and carry the header X-Coldloop.
Requests of foreign pages do not come here; see `agent.tools.web.page_rule`. An action also
carries the token of its session in X-Auth-Token. The page keeps the token in memory only, not in a
cookie: a foreign page has no way to use it, and a reload of the page ends the access.

    GET  /                                 to /panel
    GET  /panel, /panel/static/NAME        the page
    GET  /panel/api/state                  the values now; also as events: /panel/events
    GET  /panel/api/catalogue              alarms, points and limits of actions (constant)
    GET  /panel/api/trend?minutes=N        one row a minute
    GET  /panel/api/serial.svg             QR code of the serial number
    POST /panel/api/login, logout, password
    POST /panel/api/prepare, act           an action; first step and second step, or the only one
    GET  /panel/api/result/ID              state of a submitted action, in a session
    GET  /panel/api/trial                  user of the change on trial, in a session
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeGuard

from microdot import Microdot, Request, Response

from deploy.northbound.access.sessions import TOO_MANY
from deploy.northbound.access.types import (
    ADMINISTRATOR,
    OPERATOR,
    OTHER_TRIAL,
    READ_ONLY,
    Refusal,
    Session,
    SetPointChange,
    UnitCommand,
)
from deploy.northbound.http.limits import mark_known, run_in_thread
from deploy.northbound.panel.actions import (
    ACTIONS,
    ActionError,
    UnitRequest,
    ground_of,
    make_request,
)
from deploy.northbound.panel.confirmation import VALID_S, Confirmations
from deploy.northbound.panel.files import HEADERS, find_file
from deploy.northbound.panel.page_catalogue import catalogue_json
from deploy.northbound.panel.qr_code import qr_svg
from deploy.northbound.panel.services import PanelServices
from deploy.northbound.panel.state import state_json, trial_json
from deploy.northbound.panel.trends import MINUTES, curves_json
from deploy.northbound.points.point_table import point_table

PROTOCOL = "panel"
_PERIOD_S, _LOOK_S = 1.2, 0.1
_MAX_BODY = 4096
_MAX_LOGIN_TEXT = 128
_CHANGED = {"error": "changed"}
"""What the person has seen is not in force any more: the page shows it again."""
_Reply = Response
_Handler = Callable[[Request, Mapping[str, Any]], Awaitable[_Reply]]


class PanelRoutes:
    """The routes; `register` adds them to an app."""

    def __init__(self, services: PanelServices) -> None:
        self._services = services
        self._confirmations = Confirmations()

    def register(self, app: Microdot) -> None:
        """Add all routes to `app`."""
        routes: Any = app
        routes.get("/")(self._redirect)
        routes.get("/panel")(self._index)
        routes.get("/panel/")(self._index)
        routes.get("/panel/static/<path:name>")(self._static)
        routes.get("/panel/events")(self._events)
        routes.get("/panel/api/state")(self._state)
        routes.get("/panel/api/catalogue")(self._catalogue)
        routes.get("/panel/api/trend")(self._trend)
        routes.get("/panel/api/serial.svg")(self._serial)
        routes.get("/panel/api/result/<id>")(self._result)
        routes.get("/panel/api/trial")(self._trial)
        for name, handler in (
            ("login", self._login),
            ("logout", self._logout),
            ("password", self._password),
            ("prepare", self._prepare),
            ("act", self._act),
        ):
            routes.post(f"/panel/api/{name}")(self._audited(name, handler))

    async def _redirect(self, _request: Request) -> _Reply:
        return _reply(b"", 302, {"Location": "/panel"})

    async def _index(self, request: Request) -> _Reply:
        return await self._static(request, "index.html")

    async def _static(self, request: Request, name: str) -> _Reply:
        file = find_file(name)
        if file is None:
            return _json({"error": "no such file"}, 404)
        headers = {"Content-Type": file.content_type, "ETag": file.etag}
        if request.headers.get("If-None-Match") == file.etag:
            return _reply(b"", 304, headers)
        return _reply(file.data, 200, headers)

    async def _state(self, _request: Request) -> _Reply:
        return _json(self._state_now())

    def _state_now(self) -> dict[str, Any]:
        state = state_json(self._services.source.read())
        writer = self._services.writer
        can_sign_in = self._services.logins is not None and writer is not None
        trial = None if writer is None else writer.change_on_trial()
        return {**state, "can_sign_in": can_sign_in, "trial": trial_json(trial)}

    async def _trial(self, request: Request) -> _Reply:
        """Answer with the user of the change on trial: names of accounts are not open."""
        session, writer = self._signed_in(request), self._services.writer
        if isinstance(session, Response):
            return session
        found = None if writer is None else writer.change_on_trial()
        if found is None:
            return _json({"error": "no change is on trial"}, 404)
        return _json({"counter": found.counter, "protocol": found.protocol, "user": found.user})

    async def _events(self, request: Request) -> _Reply:
        if not self._services.open_stream(request):
            return _json({"error": "too many streams"}, 503)
        return _reply(self._stream(), 200, {"Content-Type": "text/event-stream"})

    async def _stream(self) -> AsyncIterator[str]:
        """Send each new record soon after it is there; without one, the state each second."""
        while True:
            sequence = self._services.source.read().sequence
            yield f"data: {json.dumps(self._state_now(), separators=(',', ':'))}\n\n"
            for _ in range(round(_PERIOD_S / _LOOK_S)):
                await asyncio.sleep(_LOOK_S)
                if self._services.source.read().sequence != sequence:
                    break

    async def _catalogue(self, _request: Request) -> _Reply:
        return _json(catalogue_json())

    async def _trend(self, request: Request) -> _Reply:
        text = request.args.get("minutes", str(MINUTES))
        minutes = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else MINUTES
        rows = self._services.trends.rows(max(1, min(MINUTES, minutes)))
        return _json({"curves": curves_json(), "rows": rows})

    async def _serial(self, _request: Request) -> _Reply:
        try:
            data = qr_svg(self._services.source.read().identity.serial_number)
        except ValueError:
            return _json({"error": "the unit has no serial number"}, 404)
        return _reply(data, 200, {"Content-Type": "image/svg+xml"})

    async def _login(self, request: Request, fields: Mapping[str, Any]) -> _Reply:
        user, password = fields.get("user"), fields.get("password")
        logins = self._services.logins
        if logins is None:
            return _json({"error": "read only"}, 403)
        if not _is_text(user) or not _is_text(password):
            return _json({"error": "login"}, 401)
        request.g.recorded = True
        found = await run_in_thread(request, None, logins.login, user, password, _address(request))
        if isinstance(found, Refusal):
            return _refused(found, 401)
        mark_known(request)
        return _json(_session_json(found))

    async def _logout(self, request: Request, _fields: Mapping[str, Any]) -> _Reply:
        session = self._session(request)
        if session is not None and self._services.logins is not None:
            self._services.logins.logout(session)
        return _json({})

    async def _password(self, request: Request, fields: Mapping[str, Any]) -> _Reply:
        session, password = self._session(request), fields.get("password")
        logins = self._services.logins
        if session is None or logins is None:
            return _json({"error": "session"}, 401)
        if not _is_text(password):
            return _json({"error": "password"}, 400)
        found = await run_in_thread(request, None, logins.change_password, session, password)
        request.g.recorded = True
        self._audit(
            request, session, "password", "refused" if isinstance(found, Refusal) else "set"
        )
        return _refused(found, 400) if isinstance(found, Refusal) else _json(_session_json(found))

    async def _prepare(self, request: Request, fields: Mapping[str, Any]) -> _Reply:
        """Check an action and keep it; the answer has the code for the second step."""
        session, name = self._signed_in(request), str(fields.get("action"))
        request.g.action = name
        if isinstance(session, Response):
            return session
        made = self._make(request, session, name, fields)
        if isinstance(made, Response):
            return made
        ground = ground_of(made, self._services.source.read())
        if isinstance(made, SetPointChange) and _base_of(made, fields) not in (None, ground):
            return _json(_CHANGED, 409)
        code = self._confirmations.prepare(name, made, session.id, ground)
        return _json({"code": code, "valid_s": VALID_S})

    async def _act(self, request: Request, fields: Mapping[str, Any]) -> _Reply:
        """Submit an action: the prepared one of `code`, or one that needs no second step."""
        session = self._signed_in(request)
        if "code" not in fields:
            request.g.action = str(fields.get("action"))
        if isinstance(session, Response):
            return session
        if "code" in fields:
            prepared = self._confirmations.take(str(fields["code"]), session.id)
            if prepared is None:
                return _json({"error": "expired"}, 409)
            request.g.action = prepared.action
            if ground_of(prepared.request, self._services.source.read()) != prepared.ground:
                return _json(_CHANGED, 409)
            return self._submit(request, session, prepared.request)
        name = str(fields.get("action"))
        if name in ACTIONS and ACTIONS[name].confirmed:
            return _json({"error": "confirm"}, 409)
        made = self._make(request, session, name, fields)
        return made if isinstance(made, Response) else self._submit(request, session, made)

    def _make(
        self, request: Request, session: Session, name: str, fields: Mapping[str, Any]
    ) -> UnitRequest | _Reply:
        """Return the request of an action, or the answer that refuses it. Refusals are audited."""
        writer = self._services.writer
        if writer is None:
            return _json({"error": "read only"}, 403)
        if not session.may(OPERATOR):
            return _json({"error": "role"}, 403)
        arguments = fields.get("arguments")
        try:
            snapshot = self._services.source.read()
            made = make_request(name, arguments if isinstance(arguments, dict) else {}, snapshot)
        except ActionError as error:
            return _json({"error": str(error)}, 400)
        if isinstance(made, UnitCommand) and made.name == "rollback":
            if snapshot.is_on_trial and made.arguments["counter"] != snapshot.trial:
                return _json(_CHANGED, 409)
            refusal = None if snapshot.is_on_trial else Refusal("no change is on trial")
        else:
            refusal = writer.permitted(made)
        if refusal is not None:
            return _refused(refusal, 403)
        return made

    def _submit(self, request: Request, session: Session, made: UnitRequest) -> _Reply:
        """Submit a request; the writer records it in the audit log."""
        writer = self._services.writer
        if writer is None:
            return _json({"error": "session"}, 401)
        request.g.recorded = True
        sender = session.user, _address(request), PROTOCOL
        if isinstance(made, UnitCommand) and made.name == "rollback":
            is_admin, shown = session.may(ADMINISTRATOR), int(made.arguments["counter"])
            found = writer.roll_back(*sender, any_user=is_admin, shown=shown)
        else:
            found = writer.submit(made, *sender)
        if isinstance(found, Refusal) and found.reason == OTHER_TRIAL:
            return _json(_CHANGED, 409)
        if isinstance(found, Refusal):
            return _refused(found, 403)
        return _json({"id": found.id}, 202)

    async def _result(self, request: Request, id: str) -> _Reply:  # noqa: A002 - as in the path
        writer = self._services.writer
        session = self._signed_in(request)
        if isinstance(session, Response):
            return session
        outcome = None if writer is None or len(id) > _MAX_LOGIN_TEXT else writer.result(id)
        if outcome is None:
            return _json({"error": "no such action"}, 404)
        return _json({"state": outcome.state, "reason": outcome.reason})

    def _session(self, request: Request) -> Session | None:
        token = request.headers.get("X-Auth-Token", "")
        logins = self._services.logins
        if logins is None or not 0 < len(token) <= _MAX_LOGIN_TEXT:
            return None
        session = logins.find_session(token)
        if session is not None:
            mark_known(request)
        return session

    def _signed_in(self, request: Request) -> Session | Response:
        """Return a session that can do more than change its password, or the refusal."""
        session = self._session(request)
        if session is None:
            return _json({"error": "session"}, 401)
        return _json({"error": "password"}, 403) if session.must_change else session

    def _audited(self, name: str, handler: _Handler) -> Callable[[Request], Awaitable[_Reply]]:
        """Return the route of a POST; what it refuses is in the audit log."""
        route = _json_route(handler)

        async def run(request: Request) -> _Reply:
            request.g.recorded, request.g.action = name == "logout", name
            reply = await route(request)
            if reply.status_code >= 400 and not request.g.recorded:
                result = f"refused: {_error_of(reply)}"
                self._audit(request, self._session(request), request.g.action, result)
            return reply

        return run

    def _audit(self, request: Request, session: Session | None, action: str, result: str) -> None:
        user, address = session.user if session else "", _address(request)
        audit = self._services.audit
        is_minor = action == "logout" or (session is not None and session.role == READ_ONLY)
        record = audit.record_session if is_minor else audit.record
        record(user, address, PROTOCOL, action[:40], "", result)


def _json_route(handler: _Handler) -> Callable[[Request], Awaitable[_Reply]]:
    """Return the route of a POST: JSON object, known header, bounded size."""

    async def route(request: Request) -> _Reply:
        if request.headers.get("X-Coldloop") != "1":
            return _json({"error": "the header X-Coldloop is missing"}, 403)
        if request.content_length > _MAX_BODY:
            return _json({"error": "too long"}, 413)
        try:
            fields = json.loads(request.body or b"{}")
        except (ValueError, RecursionError):
            return _json({"error": "not JSON"}, 400)
        if not isinstance(fields, dict):
            return _json({"error": "not a JSON object"}, 400)
        return await handler(request, fields)

    return route


def _base_of(change: SetPointChange, fields: Mapping[str, Any]) -> int | None:
    """Return the raw value from which the page changes a set-point; None: it does not say so."""
    arguments = fields.get("arguments")
    value = arguments.get("from") if isinstance(arguments, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        return None
    return point_table()[change.key].raw(value)


def _error_of(reply: _Reply) -> str:
    return str(json.loads(reply.body).get("error", ""))


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _MAX_LOGIN_TEXT


def _session_json(session: Session) -> dict[str, Any]:
    return {
        "token": session.token,
        "user": session.user,
        "role": session.role,
        "must_change": session.must_change,
    }


def _refused(refusal: Refusal, status: int) -> _Reply:
    """Answer a refusal; `status`: if the cause is the request and not the server."""
    if refusal.reason == TOO_MANY:
        status = 503
    status = 507 if refusal.storage else status
    headers = {"Retry-After": str(refusal.retry_s)} if refusal.retry_s else {}
    return _json({"error": refusal.reason, "retry_s": refusal.retry_s}, status, headers)


def _address(request: Request) -> str:
    return str(request.client_addr[0])


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> _Reply:
    body = json.dumps(value, separators=(",", ":"))
    return _reply(body, status, {"Content-Type": "application/json", **(headers or {})})


def _reply(body: Any, status: int, headers: Mapping[str, str]) -> _Reply:
    found = {"Cache-Control": "no-cache", **HEADERS, **headers}
    return Response(body, status, found)
