# SPDX-License-Identifier: Apache-2.0
"""The Redfish service by requests: access, preconditions, writes as tasks, accounts, values."""

import json
import ssl
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from deploy.northbound.access.types import Outcome, Refusal, SetPointChange, UnitCommand
from deploy.northbound.redfish.sensors import SENSORS
from tests.deploy.northbound.redfish.service_bench import PASSWORD, ServiceBench, set_state

ROOT = "/redfish/v1"
UNIT = f"{ROOT}/ThermalEquipment/CDUs/1"
CONTROL = f"{ROOT}/Chassis/1/Controls/SupplyTemperature"


class ApiClient:
    """One kept connection with a session."""

    def __init__(self, bench: ServiceBench, user: str = "") -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.link = HTTPSConnection("127.0.0.1", bench.server.port, timeout=10, context=context)
        self.headers: dict[str, str] = {}
        if user:
            login = {"UserName": user, "Password": PASSWORD}
            status, _body, headers = self.call("POST", f"{ROOT}/SessionService/Sessions", login)
            assert status == 201
            self.headers["X-Auth-Token"] = headers["X-Auth-Token"]
            self.session = headers["Location"]

    def call(self, method: str, path: str, body: object = None, **headers: str):
        fields = {**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}}
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            fields.setdefault("Content-Type", "application/json")
        self.link.request(method, path, data, fields)
        answer = self.link.getresponse()
        text = answer.read()
        found = json.loads(text) if text and b"{" in text[:1] else {}
        return answer.status, found, answer.headers

    def get(self, path: str):
        status, body, _headers = self.call("GET", path)
        assert status == 200, body
        return body


def keys(body: dict) -> list[str]:
    """Return the keys of the messages of an error."""
    info = body.get("error", body)["@Message.ExtendedInfo"]
    return [entry["MessageId"].rsplit(".", 1)[1] for entry in info]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceBench]:
    with ServiceBench(tmp_path_factory.mktemp("redfish")) as found:
        set_state(found, "normal")
        yield found


@pytest.fixture
def admin(bench: ServiceBench) -> Iterator[ApiClient]:
    client = ApiClient(bench, "admin")
    yield client
    client.link.close()


@pytest.fixture
def writable(bench: ServiceBench) -> Iterator[None]:
    points = bench.source.snapshot.setpoints
    bench.source.replace(setpoints={k: replace(s, writable=True) for k, s in points.items()})
    yield
    bench.source.replace(setpoints=points)
    bench.writer.refusal = None


def test_only_four_paths_are_open_without_login(bench: ServiceBench) -> None:
    client = ApiClient(bench)
    for path in ("/redfish", ROOT, f"{ROOT}/", f"{ROOT}/odata", f"{ROOT}/$metadata"):
        assert client.call("GET", path)[0] == 200
    for path in (UNIT, f"{ROOT}/x", f"{ROOT}/EventService/SSE", f"{ROOT}?$expand=*"):
        status, _body, headers = client.call("GET", path)
        if path.endswith("*"):
            assert status == 200  # the query is ignored, nothing is expanded
            continue
        assert status == 401
        assert headers["WWW-Authenticate"]
    client.link.close()


def test_without_login_the_root_is_not_expanded(bench: ServiceBench) -> None:
    client = ApiClient(bench)
    _status, body, _headers = client.call("GET", f"{ROOT}?$expand=*")
    assert body["Chassis"] == {"@odata.id": f"{ROOT}/Chassis"}
    client.link.close()


def test_values_of_the_snapshot_are_in_sensors_and_excerpts(
    bench: ServiceBench, admin: ApiClient
) -> None:
    bench.source.set_point("supply_temperature", 31_234)
    bench.source.set_point("heat", 98_765)
    bench.source.set_point("return_temperature", None, "bad")
    secondary = admin.get(f"{UNIT}/SecondaryCoolantConnectors/1")
    assert secondary["SupplyTemperatureCelsius"]["Reading"] == 31.234
    assert secondary["HeatRemovedkW"]["Reading"] == 98.765
    assert secondary["ReturnTemperatureCelsius"]["Reading"] is None
    assert secondary["DeltaTemperatureCelsius"]["Reading"] is None
    sensor = admin.get(secondary["ReturnTemperatureCelsius"]["DataSourceUri"])
    assert sensor["Reading"] is None
    assert sensor["Status"]["State"] == "UnavailableOffline"
    bench.source.set_point("return_temperature", 40_000)


def test_without_a_record_no_old_value_is_shown(bench: ServiceBench, admin: ApiClient) -> None:
    before = bench.source.snapshot
    bench.source.stop()
    report = admin.get(f"{ROOT}/TelemetryService/MetricReports/All")
    assert {value["MetricValue"] for value in report["MetricValues"]} == {None}
    assert admin.get(UNIT)["Status"]["State"] == "UnavailableOffline"
    assert admin.get(f"{ROOT}/Managers/1")["DateTime"] is None
    bench.source.snapshot = before


def test_a_member_by_only_and_expand(admin: ApiClient) -> None:
    assert admin.get(f"{ROOT}/Chassis?only")["Id"] == "1"
    pumps = admin.get(f"{UNIT}/Pumps?$expand=.($levels=1)")
    assert pumps["Members"][0]["PumpType"] == "Liquid"
    assert len(admin.get(f"{ROOT}/Chassis/1/Sensors?$top=2&$skip=1")["Members"]) == 2
    assert set(admin.get(f"{UNIT}?$select=Status")) == {
        "@odata.id", "@odata.type", "@odata.etag", "Status",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "status"),
    [("only=x", 400), ("$filter=a", 400), ("$orderby=a", 501),
     ("$top=-1", 400), ("$expand=x", 400), ("$top=1", 400),
     ("unknown=1", 200)],
)  # fmt: skip
def test_queries_that_are_not_valid(admin: ApiClient, query: str, status: int) -> None:
    path = UNIT if query == "$top=1" else f"{ROOT}/Chassis"
    assert admin.call("GET", f"{path}?{query}")[0] == status


def test_a_wrong_odata_version_and_a_wrong_tag_are_refused(admin: ApiClient) -> None:
    assert admin.call("GET", UNIT, OData_Version="4.1")[0] == 412
    account = f"{ROOT}/AccountService/Accounts/reader"
    status, body, _h = admin.call("PATCH", account, {"Enabled": False}, If_Match='"0"')
    assert (status, keys(body)) == (412, ["PreconditionFailed"])
    assert admin.get(account)["Enabled"]


def test_the_tag_is_stable_and_answers_304(bench: ServiceBench, admin: ApiClient) -> None:
    path = f"{ROOT}/Managers/1"
    tag = admin.get(path)["@odata.etag"]
    bench.source.replace(utc=bench.source.snapshot.utc.replace(microsecond=7, second=59))
    assert admin.get(path)["@odata.etag"] == tag
    assert admin.call("GET", path, If_None_Match=tag)[0] == 304


def test_a_patch_has_one_message_for_each_property(admin: ApiClient) -> None:
    account = f"{ROOT}/AccountService/Accounts/operator"
    assert keys(admin.call("PATCH", account, {})[1]) == ["NoOperation"]
    assert keys(admin.call("PATCH", account, {"@odata.etag": "x"})[1]) == ["NoOperation"]
    status, body, _h = admin.call("PATCH", account, {"Id": "x", "Zap": 1, "RoleId": "Root"})
    assert status == 400
    assert keys(body) == ["PropertyNotWritable", "PropertyUnknown", "PropertyValueNotInList"]
    status, body, _h = admin.call("PATCH", account, {"Enabled": True, "Zap": 1})
    assert (status, keys(body)) == (200, ["PropertyUnknown"])


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"x"', b"[" * 5000, b'{"a":' * 9 + b"1" + b"}" * 9, b"{\xff}",
             b'{"SetPoint": NaN}', b'{"SetPoint": 1e999}', b""],
)  # fmt: skip
def test_bodies_that_are_no_object_are_refused(admin: ApiClient, body: bytes) -> None:
    assert admin.call("PATCH", f"{ROOT}/SessionService", body)[0] == 400


def test_another_media_type_is_refused(admin: ApiClient) -> None:
    answer = admin.call("PATCH", f"{ROOT}/SessionService", b"a=b", Content_Type="text/plain")
    assert answer[0] == 415


# --- roles --------------------------------------------------------------------------------------


def test_a_reader_reads_and_writes_nothing(bench: ServiceBench, writable: None) -> None:
    reader = ApiClient(bench, "reader")
    writes = [
        ("PATCH", CONTROL, {"SetPoint": 30}),
        ("POST", f"{ROOT}/AccountService/Accounts", {}),
        ("PATCH", f"{ROOT}/SessionService", {"SessionTimeout": 60}),
        ("POST", f"{ROOT}/Managers/1/Actions/Manager.Reset", {"ResetType": "ForceRestart"}),
        ("POST", f"{ROOT}/EventService/Subscriptions", {}),
        ("POST", f"{ROOT}/EventService/Actions/EventService.SubmitTestEvent", {}),
        ("POST", f"{ROOT}/Managers/1/LogServices/Events/Actions/LogService.ClearLog", {}),
        ("POST", f"{ROOT}/CertificateService/Actions/CertificateService.GenerateCSR", {}),
        ("DELETE", f"{ROOT}/AccountService/Accounts/admin", None),
        ("PATCH", f"{ROOT}/AccountService/Accounts/admin", {"Password": "Another-Horse-7"}),
    ]
    before = len(bench.writer.requests)
    for method, path, body in writes:
        assert reader.call(method, path, body)[0] == 403, path
    assert reader.call("GET", f"{ROOT}/AccountService/Accounts/admin")[0] == 403
    assert reader.call("GET", f"{ROOT}/AccountService/Accounts/reader")[0] == 200
    own = f"{ROOT}/AccountService/Accounts/reader"
    assert reader.call("PATCH", own, {"RoleId": "Administrator"})[0] == 403
    assert len(bench.writer.requests) == before
    assert bench.audit.entries[-1][-1] == "403"
    reader.link.close()


def test_each_attempt_to_change_has_one_entry(bench: ServiceBench, writable: None) -> None:
    """Malformed, to places that take no change, without a login, without a right."""
    admin, reader, no_one = (ApiClient(bench, user) for user in ("admin", "reader", ""))
    attempts = [
        (admin, "PATCH", CONTROL, []),
        (admin, "PATCH", CONTROL, {}),
        (admin, "PATCH", CONTROL, {"SetPoint": "x"}),
        (admin, "PATCH", CONTROL, {"Nothing": 1}),
        (admin, "PATCH", ROOT, {"SetPoint": 30}),
        (admin, "DELETE", CONTROL, None),
        (admin, "PUT", CONTROL, {"SetPoint": 30}),
        (admin, "PATCH", f"{ROOT}/nothing", {"SetPoint": 30}),
        (reader, "PATCH", CONTROL, {"SetPoint": 30}),
        (no_one, "PATCH", CONTROL, {"SetPoint": 30}),
        (no_one, "POST", f"{ROOT}/odata", {}),
    ]
    sent = len(bench.writer.requests)
    for client, method, path, body in attempts:
        before = len(bench.audit.entries)
        status = client.call(method, path, body)[0]
        assert status >= 400, (method, path)
        new = bench.audit.entries[before:]
        assert [entry[2:] for entry in new] == [("redfish", method, path, str(status))], (
            method,
            path,
        )
        assert (new[0][0] == "") == (client is no_one)
    before = len(bench.audit.entries)
    assert no_one.call("GET", CONTROL)[0] == 401
    assert len(bench.audit.entries) == before, "a read is no attempt"
    assert len(bench.writer.requests) == sent
    for client in (admin, reader, no_one):
        client.link.close()


def test_expand_shows_no_account_of_others(bench: ServiceBench) -> None:
    reader = ApiClient(bench, "reader")
    members = reader.get(f"{ROOT}/AccountService/Accounts?$expand=*")["Members"]
    assert [entry.get("UserName") for entry in members if "UserName" in entry] == ["reader"]
    reader.link.close()


def test_every_resource_refuses_methods_that_it_does_not_have(bench: ServiceBench) -> None:
    operator = ApiClient(bench, "operator")
    for path in all_paths(operator):
        status, _body, headers = operator.call("GET", path)
        assert status == 200
        for method in ("PUT", "DELETE", "PATCH", "POST"):
            if method in headers["Allow"]:
                continue
            assert operator.call(method, path, {"Name": "x"})[0] in (403, 405), (method, path)
    operator.link.close()


def all_paths(client: ApiClient) -> list[str]:
    """Return the paths of all resources that a client can reach by links."""
    found, pending = {}, [ROOT]
    while pending:
        path = pending.pop()
        if path in found or "/Accounts/" in path:
            continue
        status, body, _headers = client.call("GET", path)
        assert status == 200, path
        found[path] = body
        pending += [link for link in links(body) if link.startswith(ROOT)]
    return list(found)


def links(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("@odata.id"), str):
            yield value["@odata.id"].partition("#")[0]
        for item in value.values():
            yield from links(item)
    elif isinstance(value, list):
        for item in value:
            yield from links(item)


# --- writes -------------------------------------------------------------------------------------


def test_without_permission_a_set_point_is_read_only(bench: ServiceBench, admin: ApiClient) -> None:
    status, _body, headers = admin.call("PATCH", CONTROL, {"SetPoint": 30})
    assert status == 405
    assert "PATCH" not in headers["Allow"]
    assert bench.writer.requests == []


def test_a_set_point_without_an_agent_is_unavailable(bench: ServiceBench, admin: ApiClient) -> None:
    before, shown = bench.source.snapshot, admin.get(f"{ROOT}/Chassis/1/Controls")["Members"]
    bench.source.stop()
    try:
        status, _body, headers = admin.call("PATCH", CONTROL, {"SetPoint": 30})
        assert (status, headers["Retry-After"]) == (503, "5")
        assert admin.get(CONTROL)["SetPoint"] is None
        assert admin.get(f"{ROOT}/Chassis/1/Controls")["Members"] == shown
        assert admin.call("PATCH", CONTROL.replace("Supply", "Nothing"), {"SetPoint": 3})[0] == 404
    finally:
        bench.source.snapshot = before


def test_a_server_that_starts_without_an_agent_refuses_set_points(tmp_path: Path) -> None:
    with ServiceBench(tmp_path) as bench:
        bench.source.stop()
        client = ApiClient(bench, "admin")
        assert client.call("PATCH", CONTROL, {"SetPoint": 30})[0] == 503
        client.link.close()


def test_a_set_point_is_a_task_until_it_is_confirmed(
    bench: ServiceBench, admin: ApiClient, writable: None
) -> None:
    before = admin.get(CONTROL)["SetPoint"]
    status, task, headers = admin.call("PATCH", CONTROL, {"SetPoint": 30.5})
    assert status == 202
    assert task["TaskState"] == "Starting"
    assert admin.get(CONTROL)["SetPoint"] == before  # it is not in force yet
    request, user, _address, protocol = bench.writer.requests[-1]
    assert request == SetPointChange("supply_setpoint", 30_500)
    assert (user, protocol) == ("admin", "redfish")
    monitor, number = headers["Location"], str(len(bench.writer.requests))
    assert admin.call("GET", monitor)[0] == 202
    bench.writer.results[number] = Outcome("trial")
    assert admin.call("GET", monitor)[1]["TaskState"] == "Running"
    bench.writer.results[number] = Outcome("confirmed")
    status, task, _h = admin.call("GET", monitor)
    assert (status, task["TaskState"]) == (200, "Completed")
    bench.writer.results[number] = Outcome("rolled_back", "supply too warm")
    task = admin.get(task["@odata.id"].replace("TaskMonitors", "Tasks"))
    assert task["TaskState"] == "Exception"
    assert "supply too warm" in task["Messages"][0]["Message"]


def test_the_tag_of_a_set_point_is_for_its_value_and_not_for_live_readings(
    bench: ServiceBench, admin: ApiClient, writable: None
) -> None:
    def tag() -> str:
        return str(admin.call("GET", CONTROL)[2]["ETag"])

    before, points = tag(), bench.source.snapshot.points
    for raw in (32_001, 32_777):
        changed = {
            key: replace(point, raw=raw, quality="uncertain")
            for key, point in points.items()
            if key in ("supply_temperature", "supply_setpoint")
        }
        bench.source.replace(points={**points, **changed})
        assert tag() == before
    assert admin.call("PATCH", CONTROL, {"SetPoint": 30.5}, If_Match=before)[0] == 202
    limits = bench.source.snapshot.setpoints
    other = replace(limits["supply_setpoint"], configured=30_500)
    bench.source.replace(setpoints={**limits, "supply_setpoint": other})
    assert tag() != before
    assert admin.call("PATCH", CONTROL, {"SetPoint": 30}, If_Match=before)[0] == 412
    bench.source.replace(points=points, setpoints=limits)


@pytest.mark.parametrize(
    ("wanted", "status"),
    [("{}", 304), ('"0", {}', 304), ("W/{}", 304), ("*", 304), ('"0"', 200), ('"0", "1"', 200)],
)
def test_lists_of_tags(admin: ApiClient, wanted: str, status: int) -> None:
    path = f"{ROOT}/AccountService/Accounts/admin"
    tag = admin.call("GET", path)[2]["ETag"]
    assert admin.call("GET", path, If_None_Match=wanted.format(tag))[0] == status


def test_a_set_point_with_refused_properties_names_each_of_them(
    admin: ApiClient, writable: None
) -> None:
    body = {"SetPoint": 30.5, "ControlMode": "Manual", "Foo": 1}
    status, task, _h = admin.call("PATCH", CONTROL, body)
    assert (status, task["TaskState"]) == (202, "Starting")
    assert keys(task) == ["PropertyNotWritable", "PropertyUnknown"]


@pytest.mark.parametrize("of", ["Tasks", "TaskMonitors"])
def test_a_task_that_is_deleted_rolls_its_change_back(
    bench: ServiceBench, admin: ApiClient, writable: None, of: str
) -> None:
    _status, task, headers = admin.call("PATCH", CONTROL, {"SetPoint": 30.5})
    number = str(len(bench.writer.requests))
    bench.writer.results[number] = Outcome("trial")
    path = headers["Location"].replace("TaskMonitors", of)
    reader, operator = ApiClient(bench, "reader"), ApiClient(bench, "operator")
    assert reader.call("DELETE", path)[0] == 403
    assert operator.call("DELETE", path)[0] == 403, "the change of another user"
    status, task, _h = admin.call("DELETE", path)
    assert (status, task["TaskState"]) == (202, "Cancelling")
    request = bench.writer.requests[-1][0]
    assert request == UnitCommand("rollback", {"of": number, "any_user": 1})
    bench.writer.results[number] = Outcome("rolled_back", "command")
    assert admin.get(path)["TaskState"] == "Cancelled"
    assert admin.call("DELETE", path)[0] == 204
    assert admin.call("GET", path)[0] == 404
    reader.link.close()
    operator.link.close()


def test_an_operator_deletes_the_own_task(bench: ServiceBench, writable: None) -> None:
    operator = ApiClient(bench, "operator")
    headers = operator.call("PATCH", CONTROL, {"SetPoint": 30.5})[2]
    assert operator.call("DELETE", headers["Location"])[0] == 202
    assert bench.writer.requests[-1][0].arguments["any_user"] == 0
    bench.writer.refusal = Refusal("no change is on trial")
    status, body, _h = operator.call("DELETE", headers["Location"])
    assert (status, body["error"]["message"]) == (409, "no change is on trial")
    bench.writer.refusal = None
    operator.link.close()


@pytest.mark.parametrize(
    ("value", "key"),
    [(14.9, "OutOfRange"), (45.1, "OutOfRange"), ("30", "TypeError"), (None, "TypeError"),
     (True, "TypeError"), ([30], "TypeError")],
)  # fmt: skip
def test_a_set_point_outside_of_its_limits_is_refused(
    bench: ServiceBench, admin: ApiClient, writable: None, value: object, key: str
) -> None:
    before = len(bench.writer.requests)
    status, body, _h = admin.call("PATCH", CONTROL, {"SetPoint": value})
    assert (status, keys(body)) == (400, [f"PropertyValue{key}"])
    assert len(bench.writer.requests) == before


def test_a_refusal_of_the_agent_is_reported(
    bench: ServiceBench, admin: ApiClient, writable: None
) -> None:
    bench.writer.refusal = Refusal("the limit of changes per hour is reached", retry_s=600)
    status, _body, headers = admin.call("PATCH", CONTROL, {"SetPoint": 30})
    assert (status, headers["Retry-After"]) == (503, "600")
    bench.writer.refusal = Refusal("writes are off")
    status, body, _h = admin.call("PATCH", CONTROL, {"SetPoint": 30})
    assert status == 400
    assert body["error"]["@Message.ExtendedInfo"][0]["Resolution"] == "writes are off"


def test_the_list_of_tasks_is_bounded(
    bench: ServiceBench, admin: ApiClient, writable: None
) -> None:
    for number in range(40):
        assert admin.call("PATCH", CONTROL, {"SetPoint": 20 + number / 10})[0] == 202
    assert admin.get(f"{ROOT}/TaskService/Tasks")["Members@odata.count"] == 32


def test_reset_restarts_this_process_only(bench: ServiceBench, admin: ApiClient) -> None:
    target = f"{ROOT}/Managers/1/Actions/Manager.Reset"
    assert admin.call("POST", target, {"ResetType": "ForceOff"})[0] == 400
    assert bench.restarts == 0
    assert admin.call("POST", target, {"ResetType": "ForceRestart"})[0] == 204
    assert bench.restarts == 1
    info = admin.get(f"{ROOT}/Managers/1/ResetActionInfo")
    assert "only" in info["Description"]


# --- accounts and sessions ----------------------------------------------------------------------


def test_an_account_is_created_used_and_deleted(bench: ServiceBench, admin: ApiClient) -> None:
    accounts = f"{ROOT}/AccountService/Accounts"
    new = {"UserName": "hall", "Password": PASSWORD, "RoleId": "ReadOnly"}
    status, body, headers = admin.call("POST", accounts, new)
    assert status == 201
    assert body["Password"] is None
    ApiClient(bench, "hall").link.close()
    assert admin.call("POST", accounts, new)[0] == 400
    assert admin.call("POST", accounts, {**new, "UserName": "a/b"})[0] == 400
    assert admin.call("POST", accounts, {**new, "UserName": "b", "Password": "short"})[0] == 400
    assert admin.call("DELETE", headers["Location"])[0] == 204
    assert admin.call("GET", headers["Location"])[0] == 404


def test_a_full_disk_is_no_success(
    bench: ServiceBench, admin: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = Refusal("the accounts cannot be stored: No space left on device", storage=True)
    for name in ("add", "change", "remove"):
        monkeypatch.setattr(bench.accounts, name, lambda *_a, **_k: refusal)
    accounts = f"{ROOT}/AccountService/Accounts"
    new = {"UserName": "eva", "Password": PASSWORD, "RoleId": "ReadOnly"}
    for method, path, body in (
        ("POST", accounts, new),
        ("PATCH", f"{accounts}/reader", {"Enabled": False}),
        ("DELETE", f"{accounts}/reader", None),
    ):
        status, error, _h = admin.call(method, path, body)
        assert status == 507
        assert "No space left" in error["error"]["message"]


def test_a_closed_session_is_refused_and_its_token_is_never_shown(bench: ServiceBench) -> None:
    client = ApiClient(bench, "operator")
    token = client.headers["X-Auth-Token"]
    for path in all_paths(client):
        assert token not in json.dumps(client.get(path)), path
    assert client.call("DELETE", client.session)[0] == 204
    assert client.call("GET", UNIT)[0] == 401
    client.link.close()


def test_the_first_password_must_be_changed(tmp_path) -> None:
    with ServiceBench(tmp_path, must_change="admin") as bench:
        client = ApiClient(bench, "admin")
        status, body, _h = client.call("GET", UNIT)
        assert (status, keys(body)) == (403, ["PasswordChangeRequired"])
        own = f"{ROOT}/AccountService/Accounts/admin"
        assert client.get(own)["PasswordChangeRequired"]
        root = client.get(f"{ROOT}?$expand=*($levels=3)")  # no way around by a query
        assert root["Chassis"] == {"@odata.id": f"{ROOT}/Chassis"}
        for change in ({"UserName": "root"}, {"Password": "Fresh-Battery-9", "RoleId": "ReadOnly"}):
            assert client.call("PATCH", own, change)[0] == 403
        assert client.call("DELETE", own)[0] == 403
        assert client.call("POST", f"{ROOT}/AccountService/Accounts", {})[0] == 403
        assert client.call("PATCH", own, {"Password": "Fresh-Battery-9"})[0] == 200
        assert not client.get(own)["PasswordChangeRequired"]
        client.link.close()


def test_a_collection_is_filtered(admin: ApiClient) -> None:
    everything = admin.get(SENSORS)
    found = admin.get(f"{SENSORS}?$filter=ReadingUnits%20eq%20'Cel'")
    assert 0 < found["Members@odata.count"] < everything["Members@odata.count"]
    assert len(found["Members"]) == found["Members@odata.count"]
    for member in found["Members"]:
        assert admin.get(member["@odata.id"])["ReadingUnits"] == "Cel"


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        ({}, 201), ({"Enabled": False, "PasswordChangeRequired": True}, 201),
        ({"Locked": False, "AccountTypes": ["Redfish"], "@odata.type": "#x"}, 201),
        ({"Enabled": 0}, 400), ({"Enabled": None}, 400), ({"PasswordChangeRequired": 1}, 400),
        ({"Locked": True}, 400), ({"AccountTypes": ["IPMI"]}, 400), ({"Other": 1}, 400),
    ],
)  # fmt: skip
def test_a_new_account_is_as_asked(admin: ApiClient, extra: dict[str, object], status: int) -> None:
    """What cannot be done is refused, not left out with an answer of 201."""
    body = {"UserName": "newton", "Password": "Copper-Meadow-17", "RoleId": "ReadOnly", **extra}
    found, account, _ = admin.call("POST", f"{ROOT}/AccountService/Accounts", body)
    assert found == status
    users = admin.get(f"{ROOT}/AccountService/Accounts")["Members"]
    path = f"{ROOT}/AccountService/Accounts/newton"
    assert ({"@odata.id": path} in users) == (status == 201)
    if status == 201:
        for name, default in (("Enabled", True), ("PasswordChangeRequired", False)):
            assert account[name] == extra.get(name, default)
        assert admin.call("DELETE", path)[0] == 204
