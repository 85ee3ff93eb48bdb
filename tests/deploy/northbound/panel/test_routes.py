# SPDX-License-Identifier: Apache-2.0
"""Routes of the panel without a browser: roles, second confirmation, bad requests."""

import dataclasses
import http.client
import json
import math
import random
import time
from collections.abc import Iterator
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy.northbound.access.sessions import TOO_MANY
from deploy.northbound.access.types import (
    OTHER_TRIAL,
    Outcome,
    Refusal,
    SetPointChange,
    TrialChange,
    UnitCommand,
)
from deploy.northbound.panel.actions import ACTIONS
from deploy.northbound.snapshot import ActuatorItem
from tests.deploy.northbound.panel.panel_server import ALARMS, PASSWORD, PanelServer, make_alarm

HAND: dict[str, int | str] = {"mode": "hand", "minutes": 5, "valve_pct": 40, "pump_pct": 60}
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 241, 2.5, 1e308, -1e308, 10**400, "", "x", "\0", "hand", "é" * 300),
    *([], {}, [1], {"a": 1}, math.nan, math.inf, ALARMS[0].id, "supply_setpoint", "valve"),
)
NAMES = (*ACTIONS, "confirm", "decommission", "restart", "__init__", "")
KEYS = ("code", "minutes", "reason", "mode", "valve_pct", "pump_pct", "what", "key", "value")


@pytest.fixture
def server() -> Iterator[PanelServer]:
    panel = PanelServer()
    yield panel
    panel.close()


def fetch(
    server: PanelServer, path: str, body: bytes | None = None, headers: Any = None
) -> tuple[int, Message, bytes]:
    """Send one request, a POST with a body; give status, headers and body of the answer."""
    connection = http.client.HTTPConnection(urlsplit(server.origin).netloc, timeout=20)
    try:
        connection.request("GET" if body is None else "POST", path, body, headers or {})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


def call(server: PanelServer, path: str, fields: Any = None, token: str = "") -> tuple[int, Any]:
    """Send one request of the page; give its status and its JSON."""
    headers = {"X-Coldloop": "1", "Content-Type": "application/json", "X-Auth-Token": token}
    body = None if fields is None else json.dumps(fields).encode()
    status, _, data = fetch(server, f"/panel/api/{path}", body, headers)
    is_json = data.startswith((b"{", b"["))
    return status, json.loads(data) if is_json else data


def test_the_stream_sends_a_new_record_soon(server: PanelServer) -> None:
    """Not up to a second later: the page adds no age of its own to a value."""
    connection = http.client.HTTPConnection(urlsplit(server.origin).netloc, timeout=20)
    connection.request("GET", "/panel/events")
    lines = connection.getresponse()
    times = []
    for number in range(5):
        if number:
            server.source.set_point("supply_temperature", 30_000 + number)
        began = time.monotonic()
        while (
            json.loads((lines.readline().removeprefix(b"data: ").strip()) or b"{}").get("sequence")
            != server.source.snapshot.sequence
        ):
            assert time.monotonic() - began < 10
        times.append(time.monotonic() - began)
    connection.close()
    assert min(times[1:]) < 0.5
    assert sorted(times[1:])[1] < 0.8, times


def sign_in(server: PanelServer, user: str = "operator") -> str:
    status, body = call(server, "login", {"user": user, "password": PASSWORD})
    assert status == 200
    return str(body["token"])


def act(server: PanelServer, token: str, action: str, **arguments: Any) -> tuple[int, Any]:
    """Do an action with both steps."""
    fields: dict[str, Any] = {"action": action, "arguments": arguments}
    if action in ACTIONS and ACTIONS[action].confirmed:
        status, body = call(server, "prepare", fields, token)
        if status != 200:
            return status, body
        fields = {"code": body["code"]}
    return call(server, "act", fields, token)


def test_state_has_values_in_units_and_not_known_is_null(server: PanelServer) -> None:
    _, state = call(server, "state")
    assert state["points"]["supply_temperature"] == [32.14, "good", 300]
    assert state["points"]["filter_pressure"][:2] == [None, "bad"]
    assert state["setpoints"]["supply_setpoint"]["high"] == 45
    server.source.stop()
    _, state = call(server, "state")
    assert state["stale"] is True
    assert {tuple(p[:2]) for p in state["points"].values()} == {(None, "absent")}


def test_all_get_routes_are_open_and_change_nothing(server: PanelServer) -> None:
    for path in ("state", "catalogue", "trend", "trend?minutes=x", "trend?minutes=-5"):
        assert call(server, path)[0] == 200
    assert call(server, "result/1")[0] == 401
    for path in ("prepare", "act", "login", "logout", "password"):
        assert call(server, path)[0] in {404, 405}
    assert server.writer.requests == []


@pytest.mark.parametrize(("user", "any_user"), [("operator", 0), ("admin", 1)])
def test_a_trial_is_rolled_back_with_one_step(
    server: PanelServer, user: str, any_user: int
) -> None:
    """No configuration must permit it: it takes back what the site itself has changed."""
    token = sign_in(server, user)
    assert act(server, token, "rollback", counter=7)[0] == 403, "nothing is on trial"
    server.source.replace(details={"remote": {"trial": 7}})
    assert act(server, token, "rollback")[0] == 400, "which one?"
    assert act(server, token, "rollback", counter=7)[0] == 202
    ((request, sender, address, protocol),) = server.writer.requests
    assert request == UnitCommand("rollback", {"of": "", "any_user": any_user, "shown": 7})
    assert (sender, address, protocol) == (user, "127.0.0.1", "panel")


def test_only_the_trial_that_the_person_has_seen_is_rolled_back(server: PanelServer) -> None:
    token = sign_in(server, "admin")
    server.source.replace(details={"remote": {"trial": 8}})
    assert act(server, token, "rollback", counter=7) == (409, {"error": "changed"})
    server.writer.refusal = Refusal(OTHER_TRIAL)  # it has changed since this look
    assert act(server, token, "rollback", counter=8) == (409, {"error": "changed"})
    assert server.writer.requests == []


def test_the_trial_is_named_and_its_user_only_in_a_session(server: PanelServer) -> None:
    server.writer.trial = TrialChange(7, SetPointChange("supply_setpoint", 31_500), "panel", "otto")
    server.source.replace(details={"remote": {"trial": 7}})
    _, state = call(server, "state")
    assert state["trial"] == {"counter": 7, "key": "supply_setpoint", "value": 31.5}
    assert call(server, "trial")[0] == 401
    found = {"counter": 7, "protocol": "panel", "user": "otto"}
    assert call(server, "trial", token=sign_in(server, "reader")) == (200, found)
    server.writer.trial = TrialChange(8)
    assert call(server, "state")[1]["trial"] == {"counter": 8, "key": None, "value": None}
    server.writer.trial = None
    assert call(server, "state")[1]["trial"] is None
    assert call(server, "trial", token=sign_in(server))[0] == 404


def _actuator(holder: str, output: float) -> ActuatorItem:
    return ActuatorItem("valve", holder, 20, output)


@pytest.mark.parametrize(
    ("action", "arguments", "before", "after", "status"),
    [
        ("rotate", {}, {"lead": "pump1", "rotations": 4}, {"lead": "pump2", "rotations": 5}, 409),
        ("rotate", {}, {"lead": "pump1", "rotations": 4}, {"lead": "pump1", "rotations": 6}, 409),
        ("rotate", {}, {"lead": "pump1", "rotations": 4}, {"lead": "pump1", "rotations": 4}, 202),
        ("proof", {"what": "valve"}, {"proofs": []}, {"proofs": [{"what": "valve"}]}, 409),
        ("proof", {"what": "valve"}, {"valve": ("loop", 50)}, {"valve": ("proof", 55)}, 409),
        ("proof", {"what": "valve"}, {"valve": ("proof", 55)}, {"valve": ("proof", 60)}, 202),
        ("mode", HAND, {"mode": "hand", "valve": ("manual", 55)},
         {"mode": "hand", "valve": ("manual", 30)}, 409),
        ("mode", HAND, {"mode": "auto", "valve": ("loop", 55)},
         {"mode": "auto", "valve": ("loop", 30)}, 202),
    ],
)  # fmt: skip
def test_an_action_on_actuators_is_for_what_the_person_has_seen(
    server: PanelServer,
    action: str,
    arguments: dict[str, Any],
    before: dict[str, Any],
    after: dict[str, Any],
    status: int,
) -> None:
    """Two persons who both change the lead pump would undo each other."""

    def show(seen: dict[str, Any]) -> None:
        cooling = {name: value for name, value in seen.items() if name != "valve"}
        actuators = (_actuator(*seen["valve"]),) if "valve" in seen else ()
        details = {"cooling": {"mode": "auto", **cooling}}
        server.source.replace(details=details, actuators=actuators)

    token = sign_in(server)
    show(before)
    _, prepared = call(server, "prepare", {"action": action, "arguments": arguments}, token)
    show(after)
    assert call(server, "act", {"code": prepared["code"]}, token)[0] == status
    assert len(server.writer.requests) == (status == 202)


def test_qr_code_is_of_the_serial_number(server: PanelServer) -> None:
    status, headers, data = fetch(server, "/panel/api/serial.svg")
    assert (status, headers["Content-Type"]) == (200, "image/svg+xml")
    assert data.startswith(b"<svg")


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_an_action_needs_a_session_and_its_role(server: PanelServer, action: str) -> None:
    fields = {"action": action, "arguments": {}}
    for path in ("prepare", "act"):
        assert call(server, path, fields)[0] == 401
        assert call(server, path, fields, "operator-9")[0] == 401
    reader = sign_in(server, "reader")
    assert act(server, reader, action)[0] == 403
    assert server.audit.entries[-1][-1] == "refused: role"
    assert server.writer.requests == []


def test_a_new_account_changes_its_password_first(server: PanelServer) -> None:
    token = sign_in(server, "new")
    assert act(server, token, "release")[1] == {"error": "password"}
    assert call(server, "password", {"password": "short"}, token)[0] == 400
    status, body = call(server, "password", {"password": "a longer password"}, token)
    assert (status, body["must_change"]) == (200, False)
    assert act(server, token, "release")[0] == 401, "the old session has ended"
    assert act(server, body["token"], "release")[0] == 202


def test_an_initial_password_permits_only_its_change(server: PanelServer) -> None:
    """Each route that needs a session refuses one that must change its password."""
    actor = sign_in(server, "operator")
    prepared = act(server, actor, "release")
    code = call(server, "prepare", {"action": "reset", "arguments": {}}, actor)[1].get("code", "x")
    token = sign_in(server, "new")
    requests = {
        "prepare": {"action": "reset", "arguments": {}},
        "act": {"action": "release", "arguments": {}},
    }
    for path, fields in [*requests.items(), ("act", {"code": code})]:
        assert call(server, path, fields, token) == (403, {"error": "password"}), path
    result = f"result/{prepared[1]['id']}"
    assert call(server, result, None, actor)[0] == 200
    assert call(server, result, None, token) == (403, {"error": "password"})


def test_a_risk_needs_the_second_step_with_the_same_arguments(server: PanelServer) -> None:
    token = sign_in(server)
    fields = {"action": "mode", "arguments": HAND}
    assert call(server, "act", fields, token) == (409, {"error": "confirm"})
    _, prepared = call(server, "prepare", fields, token)
    other = sign_in(server, "admin")
    assert call(server, "act", {"code": prepared["code"]}, other)[0] == 409
    changed = {"code": prepared["code"], "action": "mode", "arguments": {**HAND, "pump_pct": 0}}
    assert call(server, "act", changed, token)[0] == 202
    assert call(server, "act", {"code": prepared["code"]}, token)[0] == 409, "valid once"
    ((request, user, address, protocol),) = server.writer.requests
    assert request == UnitCommand("override", HAND)
    assert (user, address, protocol) == ("operator", "127.0.0.1", "panel")


def _set_configured(server: PanelServer, raw: int) -> None:
    points = server.source.snapshot.setpoints
    changed = dataclasses.replace(points["supply_setpoint"], configured=raw)
    server.source.replace(setpoints={**points, "supply_setpoint": changed})


def test_a_confirmation_is_for_the_value_that_the_person_has_seen(server: PanelServer) -> None:
    token = sign_in(server)
    arguments: dict[str, Any] = {"key": "supply_setpoint", "value": 34.5, "from": 32}
    fields = {"action": "setpoint", "arguments": arguments}
    _, prepared = call(server, "prepare", fields, token)
    _set_configured(server, 31_500)
    assert call(server, "act", {"code": prepared["code"]}, token) == (409, {"error": "changed"})
    assert server.audit.entries[-1][-1] == "refused: changed"
    assert call(server, "prepare", fields, token) == (409, {"error": "changed"}), "an old page"
    arguments["from"] = 31.5
    _, prepared = call(server, "prepare", fields, token)
    server.source.step()
    _set_configured(server, 31_500)
    assert call(server, "act", {"code": prepared["code"]}, token)[0] == 202
    assert len(server.writer.requests) == 1


def test_a_reset_is_for_the_occurrence_that_the_person_has_seen(server: PanelServer) -> None:
    token, alarm = sign_in(server), make_alarm("flow_low", raised_ago_ms=60_000)
    fields = {"action": "reset", "arguments": {"code": alarm.id}}

    def show(ago_ms: int, uptime_s: int, **changes: Any) -> None:
        shown = dataclasses.replace(alarm, raised_ago_ms=ago_ms, **changes)
        server.source.replace(alarms=(shown,), uptime_us=uptime_s * 1_000_000)

    for changes, status in (
        ({"ago_ms": 70_001}, 202),
        ({"ago_ms": 70_000, "state": "active_acknowledged"}, 202),
        ({"ago_ms": 70_000, "state": "cleared_unacknowledged"}, 409),
        ({"ago_ms": 3_000}, 409),
    ):
        show(60_000, 1000)
        _, prepared = call(server, "prepare", fields, token)
        show(uptime_s=1010, **changes)
        assert call(server, "act", {"code": prepared["code"]}, token)[0] == status, changes


def test_requests_of_the_actions(server: PanelServer) -> None:
    token, code = sign_in(server), ALARMS[0].id
    assert act(server, token, "acknowledge", code=code)[0] == 202
    assert act(server, token, "shelve", code=code, minutes=60, reason="work")[0] == 202
    assert act(server, token, "setpoint", key="supply_setpoint", value=31.5)[0] == 202
    assert act(server, token, "proof", what="valve")[0] == 202
    assert [request for request, *_ in server.writer.requests] == [
        UnitCommand("acknowledge", {"code": code}),
        UnitCommand("shelve", {"code": code, "minutes": 60, "reason": "work"}),
        SetPointChange("supply_setpoint", 31_500),
        UnitCommand("proof", {"what": "valve"}),
    ]
    server.writer.results["1"] = Outcome("refused", "busy")
    assert call(server, "result/9", token=token)[0] == 404
    assert call(server, "result/1", token=token) == (200, {"state": "refused", "reason": "busy"})


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("mode", {**HAND, "minutes": 241}),
        ("mode", {**HAND, "minutes": True}),
        ("mode", {**HAND, "valve_pct": None}),
        ("mode", {**HAND, "mode": "auto"}),
        ("setpoint", {"key": "supply_setpoint", "value": 45.01}),
        ("setpoint", {"key": "supply_setpoint", "value": math.nan}),
        ("setpoint", {"key": "heat", "value": 1}),
        ("acknowledge", {"code": "no_such_alarm"}),
        ("shelve", {"code": ALARMS[0].id, "minutes": 481, "reason": "work"}),
        ("shelve", {"code": ALARMS[0].id, "minutes": 60, "reason": " "}),
        ("shelve", {"code": "flow_low", "minutes": 60, "reason": "work"}),
        ("proof", {"what": "all"}),
    ],
)
def test_wrong_arguments_are_refused(
    server: PanelServer, action: str, arguments: dict[str, Any]
) -> None:
    server.source.replace(alarms=(*ALARMS, make_alarm("flow_low")))
    assert act(server, sign_in(server), action, **arguments)[0] == 400
    assert server.writer.requests == []


def test_random_actions_reach_the_writer_only_in_range(server: PanelServer) -> None:
    rng = random.Random(21)
    token = sign_in(server)
    server.source.replace(details={"remote": {"trial": 7}})  # for `rollback`
    for _ in range(400):
        arguments = {rng.choice(KEYS): rng.choice(VALUES) for _ in range(rng.randrange(5))}
        status, _ = act(server, token, rng.choice(NAMES), **arguments)
        assert status in {202, 400}, arguments
    for request, *_ in server.writer.requests:
        if isinstance(request, SetPointChange):
            assert 15_000 <= request.raw <= 200_000
        else:
            assert request.name in {"acknowledge", "shelve", "unshelve", "reset", "override"} | {
                "release",
                "rotate",
                "proof",
                "rollback",
            }


@pytest.mark.parametrize("body", [b"null", b"[]", b"1", b"{", b"\xff", b"[" * 4000, b'"x"'])
def test_a_body_that_is_no_object_is_refused(server: PanelServer, body: bytes) -> None:
    headers = {"X-Coldloop": "1", "Content-Type": "application/json"}
    assert fetch(server, "/panel/api/login", body, headers)[0] == 400


def test_a_post_of_a_foreign_page_is_refused(server: PanelServer) -> None:
    body = json.dumps({"user": "operator", "password": PASSWORD}).encode()
    json_type = {"Content-Type": "application/json"}
    assert fetch(server, "/panel/api/login", body, json_type)[0] == 403
    known, host = {"X-Coldloop": "1", **json_type}, urlsplit(server.origin).netloc
    for foreign in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": f"https://{host}.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": f"https://{host}", "Sec-Fetch-Site": "same-origin"},
        {"Origin": f"http://{host}", "Sec-Fetch-Site": "cross-site"},
    ):
        assert fetch(server, "/panel/api/login", body, known | foreign)[0] == 403, foreign
    assert server.logins.sessions == {}
    own = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert fetch(server, "/panel/api/login", body, known | own)[0] == 200


def test_each_attempt_to_change_has_one_entry(server: PanelServer) -> None:
    """Malformed, without a session, of a foreign page, of an old code."""
    token, new = sign_in(server), sign_in(server, "new")
    json_type = {"Content-Type": "application/json"}
    known = {"X-Coldloop": "1", "X-Auth-Token": token, **json_type}
    wrong = {"action": "set", "arguments": {"key": "x", "value": 1}}
    attempts = [
        ("act", b"[", known),
        ("act", b"[]", known),
        ("prepare", json.dumps(wrong).encode(), known),
        ("act", b'{"code": "old"}', known),
        ("act", b'{"action": "reset"}', known),
        ("act", b'{"action": "release"}', {"X-Coldloop": "1", **json_type}),
        ("act", b'{"action": "release"}', {"X-Auth-Token": token, **json_type}),
        ("act", b'{"action": "release"}', {"X-Coldloop": "1", "X-Auth-Token": token}),
        ("act", b'{"action": "release"}', known | {"Sec-Fetch-Site": "cross-site"}),
        ("act", b'{"action": "release"}', known | {"X-Auth-Token": new}),
        ("password", b'{"password": 1}', known),
        ("password", b'{"password": "short"}', known),
        ("login", b'{"user": 1}', known),
        ("login", b"{", known),
    ]
    for path, body, headers in attempts:
        before = len(server.audit.entries)
        assert fetch(server, f"/panel/api/{path}", body, headers)[0] >= 400, (path, body)
        new_entries = server.audit.entries[before:]
        assert len(new_entries) == 1, (path, body, new_entries)
        assert new_entries[0][-1].startswith("refused"), new_entries
        assert new_entries[0][3] in {path, "set", "release", "reset", "POST"}
    assert server.writer.requests == []


def test_a_login_that_the_server_cannot_take_is_no_wrong_password(server: PanelServer) -> None:
    token = sign_in(server)
    login = {"user": "operator", "password": PASSWORD}
    for refusal, status in (
        (Refusal(TOO_MANY, 600), 503),
        (Refusal("the accounts cannot be stored", storage=True), 507),
        (Refusal("wrong user name or password"), 401),
    ):
        server.logins.refusal = refusal
        assert call(server, "login", login)[0] == status
    server.logins.refusal = Refusal("full", storage=True)
    assert call(server, "password", {"password": PASSWORD}, token)[0] == 507


def test_without_a_way_in_there_is_no_sign_in() -> None:
    panel = PanelServer(writable=False)
    try:
        assert call(panel, "state")[1]["can_sign_in"] is False
        assert call(panel, "login", {"user": "operator", "password": PASSWORD})[0] == 403
        assert call(panel, "act", {"action": "release"}, "operator-0")[0] == 401
    finally:
        panel.close()


def test_files_have_a_strict_policy_and_an_entity_tag(server: PanelServer) -> None:
    _, headers, data = fetch(server, "/panel")
    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert b"http" not in data, "no external asset"
    _, headers, _ = fetch(server, "/panel/static/panel.js")
    known = {"If-None-Match": headers["ETag"]}
    assert fetch(server, "/panel/static/panel.js", headers=known)[0] == 304
    for name in ("../routes.py", "%2e%2e/state.py", "x", ""):
        assert fetch(server, f"/panel/static/{name}")[0] == 404
