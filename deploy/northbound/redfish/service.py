# SPDX-License-Identifier: Apache-2.0
"""The Redfish service: requests to resources, access, preconditions, answers (DSP0266).

Does not have resources; `deploy.northbound.redfish.build` adds them. Without login only the version
list, the service root, $metadata, odata and a new session are open. Requests of foreign pages, and
bodies that are no JSON, do not come here; see `agent.tools.web.page_rule`.
"""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from microdot import Microdot, Request, Response

from deploy.northbound.access.sessions import TOO_MANY
from deploy.northbound.access.types import READ_ONLY, AuditSink, Refusal, Session
from deploy.northbound.http.connections import ConnectionGate
from deploy.northbound.http.limits import mark_known
from deploy.northbound.http.login import Authenticator
from deploy.northbound.http.reply import make_response
from deploy.northbound.redfish.messages import Json, RedfishError, message, not_found
from deploy.northbound.redfish.query import Query
from deploy.northbound.redfish.resource import (
    ROOT,
    Call,
    Method,
    Reply,
    Resource,
    ResourceTree,
    etag,
)
from deploy.northbound.redfish.resources.accounts import ACCOUNTS, SESSIONS, session_content
from deploy.northbound.redfish.resources.events import STREAM, EventResources
from deploy.northbound.redfish.resources.subscription_file import SubscriptionFile
from deploy.northbound.redfish.resources.tasks import TaskList
from deploy.northbound.redfish.schemas import (
    metadata_document,
    schema_uri,
    service_document,
    type_name,
)

_OPEN = ("/redfish", ROOT, f"{ROOT}/odata", f"{ROOT}/$metadata")
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="coldloop"'}
_METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]
_MAX_DEPTH = 8
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_OTHER = bytes(set(range(256)) - set(b"[]{}"))


class RedfishService:
    """Answers the requests below /redfish. `subscriptions`: their file, for the server to save."""

    def __init__(
        self,
        tree: ResourceTree,
        login: Authenticator,
        audit: AuditSink,
        events: EventResources,
        tasks: TaskList,
        subscriptions: SubscriptionFile | None = None,
    ) -> None:
        self.subscriptions = subscriptions
        self._tree = tree
        self._login = login
        self._audit = audit
        self._events = events
        self._tasks = tasks
        self._gate: ConnectionGate | None = None
        self._documents = {"/redfish": {"v1": f"{ROOT}/"}}

    def register(self, app: Microdot, gate: ConnectionGate) -> None:
        """Add the routes to an app."""
        self._gate = gate
        routes: Any = app
        routes.route("/redfish", methods=_METHODS)(self.handle)
        routes.route("/redfish/<path:rest>", methods=_METHODS)(self.handle)

    async def handle(self, request: Request, rest: str = "") -> Response:
        """Answer one request."""
        path = request.path.rstrip("/") or "/"
        if request.method == "POST":  # the same as a request to the collection
            path = path.removesuffix("/Members")
        allow, call = "GET, HEAD", Call(path, address=request.client_addr[0])
        try:
            if request.headers.get("odata-version", "4.0") != "4.0":
                raise RedfishError(412, message("PreconditionFailed"))
            call = await self._identify(request, path)
            if path == STREAM and request.method == "GET" and not request.path.endswith("/"):
                return self._open_stream(request, call)
            if path in self._documents or path.startswith((f"{ROOT}/odata", f"{ROOT}/$metadata")):
                return self._document(request, path)
            resource = self._tree.find(path)
            if resource is None:
                raise not_found(path)
            allow = resource.allow + (", POST" if path == SESSIONS else "")
            reply = await self._run(request, resource, call)
        except RedfishError as error:
            self._audit_refused(request, call, error.status)
            headers = {"Allow": allow, **error.headers}
            return _response(Reply(error.status, error.body(), headers), "")
        headers = {"Allow": allow, **reply.headers}
        return _response(Reply(reply.status, reply.body, headers), resource.schema)

    def _audit_refused(self, request: Request, call: Call, status: int) -> None:
        """Record a refused attempt to change something; a wrong login has its entry already."""
        is_login = call.path == SESSIONS and request.method == "POST" and status == 401
        if request.method not in ("GET", "HEAD", "OPTIONS") and not is_login:
            method, target = request.method, call.path
            self._audit.record(call.user, call.address, "redfish", method, target, str(status))

    def end_streams(self, user: str, role: str) -> None:
        """End the streams of events of a user whose account has changed to `role`; "": it ended."""
        self._events.end_streams(user, role)

    # --- access ---------------------------------------------------------------------------------

    async def _identify(self, request: Request, path: str) -> Call:
        address = request.client_addr[0]
        opens_session = request.method == "POST" and path == SESSIONS
        found = None if opens_session else await self._login.identify(request, address)
        base = Call(
            path, address=address, query={name: request.args[name] for name in request.args}
        )
        reads = request.method in ("GET", "HEAD")
        if isinstance(found, Session):
            if found.must_change and reads and path in _OPEN:
                return base
            if found.must_change:
                self._check_first_step(request, path, found)
            query = {} if found.must_change else base.query
            return Call(
                path, found.user, found.role, address, found.id,
                must_change=found.must_change, query=query, changes=found.changes,
            )  # fmt: skip
        if opens_session or (path in _OPEN and reads and found is None):
            return base
        if isinstance(found, Refusal) and found.retry_s:
            headers = {**_CHALLENGE, "Retry-After": str(found.retry_s)}
            raise RedfishError(401, message("NoValidSession"), headers=headers)
        raise RedfishError(401, message("NoValidSession"), headers=_CHALLENGE)

    @staticmethod
    def _check_first_step(request: Request, path: str, session: Session) -> None:
        """Permit only to read the own account, to set its password, and to end the session."""
        own = f"{ACCOUNTS}/{session.user}"
        permitted = {("GET", own), ("HEAD", own), ("PATCH", own)}
        permitted.add(("DELETE", f"{SESSIONS}/{session.id}"))
        if (request.method, path) not in permitted:
            raise RedfishError(403, message("PasswordChangeRequired", own))

    @staticmethod
    def _may(call: Call, privilege: str, resource: Resource) -> bool:
        if not privilege or call.may(privilege):
            return True
        return bool(resource.owner) and resource.owner == call.user

    def _visible(self, call: Call) -> Any:
        return lambda resource: self._may(call, resource.read, resource)

    # --- methods --------------------------------------------------------------------------------

    async def _run(self, request: Request, resource: Resource, call: Call) -> Reply:
        method = request.method
        if method == "POST" and resource.path == SESSIONS:
            return await self._open_session(request, call)
        if method in ("GET", "HEAD"):
            return self._get(request, resource, call)
        reply = self._write(request, resource, call)
        target = resource.path
        is_minor = call.role == READ_ONLY or target.startswith(f"{SESSIONS}/")
        record = self._audit.record_session if is_minor else self._audit.record
        record(call.user, call.address, "redfish", method, target, str(reply.status))
        return reply

    def _get(self, request: Request, resource: Resource, call: Call) -> Reply:
        if resource.build is None:
            raise RedfishError(405, message("OperationNotAllowed"))
        open_root = resource.path == ROOT and not call.role
        if not open_root and not self._may(call, resource.read, resource):
            raise RedfishError(403, message("InsufficientPrivilege"))
        query = Query(call.query, resource)
        body = resource.body()
        if call.role:  # without login there is only the service root itself
            body = query.apply(self._tree, body, self._visible(call))
        tag = body.get("@odata.etag", etag(body))
        if _matches(request.headers.get("if-none-match"), tag):
            return Reply(304, None, {"ETag": tag})
        status = 202 if self._tasks.running(resource.path) else 200
        return Reply(status, body, {"ETag": tag})

    def _write(self, request: Request, resource: Resource, call: Call) -> Reply:
        method = request.method
        parts = {"PATCH": resource.patch, "POST": resource.post, "DELETE": resource.delete}
        part = parts.get(method)
        if part is None:
            raise RedfishError(405, message("OperationNotAllowed"))
        if not self._may(call, part.privilege, resource):
            raise RedfishError(403, message("InsufficientPrivilege"))
        self._check_tag(request, resource)
        body = {} if method == "DELETE" else parse_body(request)
        full = replace(call, body=body)
        if isinstance(part, Method):
            return part.run(full)
        return self._patch(resource, full)

    @staticmethod
    def _check_tag(request: Request, resource: Resource) -> None:
        wanted = request.headers.get("if-match")
        if wanted in (None, "*") or resource.build is None:
            return
        if not _matches(wanted, resource.body()["@odata.etag"]):
            raise RedfishError(412, message("PreconditionFailed"))

    def _patch(self, resource: Resource, call: Call) -> Reply:
        values = {key: value for key, value in call.body.items() if "@" not in key}
        if not values:
            raise RedfishError(400, message("NoOperation"))
        if resource.patch is None:
            raise RedfishError(405, message("OperationNotAllowed"))
        if call.must_change and set(values) != {"Password"}:
            raise RedfishError(403, message("PasswordChangeRequired", resource.path))
        accepted, problems, current = {}, [], resource.body()
        for name, value in values.items():
            check = resource.patch.properties.get(name)
            if check is None:
                key = "PropertyNotWritable" if name in current else "PropertyUnknown"
                problems.append(message(key, name[:80], related=[name[:80]]))
                continue
            problem = check(value)
            if problem:
                problems.append(problem)
            else:
                accepted[name] = value
        if not accepted:
            raise RedfishError(400, *problems)
        reply = resource.patch.apply(call, accepted)
        if reply is not None and problems and reply.body is not None:
            return replace(reply, body={**reply.body, "@Message.ExtendedInfo": problems})
        if reply is not None:
            return reply
        path = f"{ACCOUNTS}/{accepted['UserName']}" if "UserName" in accepted else resource.path
        body = (self._tree.find(path) or resource).body()
        tag = body["@odata.etag"]
        if problems:
            body = {**body, "@Message.ExtendedInfo": problems}
        return Reply(200, body, {"ETag": tag})

    async def _open_session(self, request: Request, call: Call) -> Reply:
        body = parse_body(request)
        for name in ("UserName", "Password"):
            if name not in body:
                raise RedfishError(400, message("PropertyMissing", name, related=[name]))
            if not isinstance(body[name], str):
                problem = message("PropertyValueTypeError", "...", name, related=[name])
                raise RedfishError(400, problem)
        user, password = body["UserName"], body["Password"]
        found = await self._login.login(request, user, password, call.address)
        if isinstance(found, Refusal):
            if found.reason == TOO_MANY:
                text = message("ServiceTemporarilyUnavailable", found.retry_s)
                raise RedfishError(503, text, headers={"Retry-After": str(found.retry_s)})
            raise RedfishError(401, message("NoValidSession"), headers=_CHALLENGE)
        mark_known(request)
        path = f"{SESSIONS}/{found.id}"
        content: Json = {"@odata.id": path, "@odata.type": type_name("Session"), "Id": found.id,
                         "Name": f"Session of {found.user}", **session_content(found)}  # fmt: skip
        if found.must_change:
            content["@Message.ExtendedInfo"] = [
                message("PasswordChangeRequired", f"{ACCOUNTS}/{found.user}")
            ]
        return Reply(201, content, {"Location": path, "X-Auth-Token": found.token})

    # --- documents and the stream ---------------------------------------------------------------

    def _document(self, request: Request, path: str) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise RedfishError(405, message("OperationNotAllowed"))
        headers = {"Allow": "GET, HEAD", "OData-Version": "4.0"}
        if path == f"{ROOT}/$metadata":
            headers["Content-Type"] = "application/xml"
            return make_response(metadata_document(), 200, headers)
        if path == f"{ROOT}/odata":
            root = self._tree.find(ROOT)
            return _response(Reply(200, service_document(root.body() if root else {})), "")
        if path not in self._documents:
            raise not_found(path)
        return _response(Reply(200, dict(self._documents[path]), headers), "")

    def _open_stream(self, request: Request, call: Call) -> Response:
        if not call.may("Login"):
            raise RedfishError(403, message("InsufficientPrivilege"))
        if self._gate is None or not self._gate.open_stream(request, "redfish"):
            text = message("ServiceTemporarilyUnavailable", 30)
            raise RedfishError(503, text, headers={"Retry-After": "30"})
        self._audit.record_session(call.user, call.address, "redfish", "stream", STREAM, "200")
        last = request.headers.get("last-event-id", "")
        body: AsyncIterator[str] = self._events.stream(call, last)
        headers = {"Content-Type": "text/event-stream", "OData-Version": "4.0",
                   "Allow": "GET, HEAD"}  # fmt: skip
        return make_response(body, 200, headers)


def _matches(wanted: str | None, tag: str) -> bool:
    """Return whether a list of entity tags, or `*`, has a tag (RFC 9110, 8.8.3.2 and 13.1)."""
    found = [part.strip().removeprefix("W/") for part in (wanted or "").split(",")]
    return "*" in found or tag in found


def parse_body(request: Request) -> Json:
    """Return the JSON object of a request. Raises RedfishError: it is none, or nested too deep."""
    raw: bytes = request.body or b"{}"
    if _depth(raw) > _MAX_DEPTH:
        raise RedfishError(400, message("UnrecognizedRequestBody"))
    try:
        body = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RedfishError(400, message("MalformedJSON")) from error
    if not isinstance(body, dict):
        raise RedfishError(400, message("UnrecognizedRequestBody"))
    return body


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _depth(raw: bytes) -> int:
    """Return the depth of brackets outside of strings."""
    depth = deepest = 0
    for part in _STRING.sub(b"", raw).translate(None, _OTHER):
        depth += 1 if part in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _response(reply: Reply, schema: str) -> Response:
    headers = {"OData-Version": "4.0", "Cache-Control": "no-cache", **reply.headers}
    headers.setdefault("Allow", "GET, HEAD")
    name = schema or "redfish-error"
    if reply.body is None:
        return make_response("", reply.status, headers)
    headers["Content-Type"] = "application/json"
    headers["Link"] = f"<{schema_uri(name.split('.', maxsplit=1)[0])}>; rel=describedby"
    return make_response(json.dumps(reply.body, separators=(",", ":")), reply.status, headers)
