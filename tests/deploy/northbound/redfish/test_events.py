# SPDX-License-Identifier: Apache-2.0
"""Events: differences of snapshots, the stream (curl, sseclient), push, subscriptions, the log."""

import asyncio
import json
import queue
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import sseclient

from deploy.northbound.fake_source import FakeSource
from deploy.northbound.redfish.event_file import EventFile
from deploy.northbound.redfish.event_log import EventLog, UnitEvent
from deploy.northbound.redfish.event_push import DeliveryError, EventPush
from deploy.northbound.redfish.resource import Call, ResourceTree
from deploy.northbound.redfish.resources.events import Subscription
from deploy.northbound.redfish.resources.logs import LogResources
from deploy.northbound.redfish.resources.subscription_file import SubscriptionFile
from deploy.northbound.redfish.sensors import SensorModel
from deploy.northbound.snapshot import AlarmItem, Snapshot
from tests.deploy.northbound.redfish.service_bench import (
    PASSWORD,
    ServiceBench,
    make_certificates,
    set_state,
)
from tests.deploy.northbound.redfish.test_service import ROOT, ApiClient, keys
from tests.support.programs import require_program

SUBSCRIPTIONS = f"{ROOT}/EventService/Subscriptions"
ALARM = AlarmItem(130, "supply_high", "", 1, "active_unacknowledged", "supply 46 C", "Look.")
UTC_NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)


def snapshot(*alarms: AlarmItem, **fields: Any) -> Snapshot:
    base = {"stale": False, "unit_state": "normal", "uptime_us": 1_000_000, "utc": UTC_NOW}
    return Snapshot(**{**base, "alarms": alarms, **fields})


def event() -> UnitEvent:
    """Return an event of an alarm."""
    log = EventLog()
    found: list[UnitEvent] = []
    log.subscribe(found.append)
    log.update(snapshot(ALARM))
    return found[0]


def published(*snapshots: Snapshot) -> list[str]:
    log, found = EventLog(), []
    log.subscribe(lambda event: found.append(event.key))
    for entry in snapshots:
        log.update(entry)
    return found


def test_the_log_lasts_over_a_restart(tmp_path: Path) -> None:
    """An alarm that stays is reported once; one that ended meanwhile is reported as cleared."""
    first, path = EventLog(), tmp_path / "events.json"
    other = replace(ALARM, name="other")
    first.update(snapshot(ALARM, other))
    file = EventFile(path, first)
    file.save()
    assert path.stat().st_mode & 0o077 == 0
    second = EventLog()
    EventFile(path, second).load()
    assert [e.record() for e in second.events] == [e.record() for e in first.events]
    second.update(snapshot(ALARM))
    added = list(second.events)[len(first.events) :]
    assert [(e.key, e.args) for e in added] == [
        ("AlarmCleared", (other.id,)), ("AlarmAcknowledged", (other.id,)),
    ]  # fmt: skip
    assert added[0].id > max(e.id for e in first.events)
    text = path.read_text()
    for damaged in ("", "{", "[]", text[:-9], text.replace('"next":', '"next":-'), "[" * 9999):
        path.write_text(damaged)
        third = EventLog()
        EventFile(path, third).load()
        assert not third.events
        third.update(snapshot(ALARM))
        assert third.events


def test_an_alarm_is_raised_acknowledged_and_cleared_once() -> None:
    acknowledged = replace(ALARM, state="active_acknowledged")
    assert published(
        snapshot(), snapshot(ALARM), snapshot(ALARM), snapshot(acknowledged), snapshot(), snapshot()
    ) == ["SupplyHigh", "AlarmAcknowledged", "AlarmCleared"]


def test_a_cleared_alarm_that_waits_for_its_acknowledgement_is_cleared_once() -> None:
    cleared = replace(ALARM, state="cleared_unacknowledged")
    found = published(snapshot(), snapshot(ALARM), snapshot(cleared), snapshot(), snapshot(ALARM))
    assert found == ["SupplyHigh", "AlarmCleared", "AlarmAcknowledged", "SupplyHigh"]


def test_a_stale_record_changes_the_state_and_clears_no_alarm() -> None:
    stale = Snapshot()
    assert published(snapshot(ALARM), stale, snapshot(ALARM)) == [
        "SupplyHigh", "UnitStateCritical", "UnitStateNormal",
    ]  # fmt: skip


def stale(age_ms: int | None) -> Snapshot:
    return Snapshot(sequence=1, age_ms=age_ms)


def the_entries(log: EventLog) -> list[str]:
    """Return the keys of the entries in the log, as `LogResources` lists them."""
    listed = LogResources(ResourceTree(), SensorModel(FakeSource(1)), log)._listed()
    return [event.key for event in listed]


@pytest.mark.parametrize("utc", [UTC_NOW, None])
@pytest.mark.parametrize("age_ms", [4000, None])
@pytest.mark.parametrize("uptime_us", [20_000_000, 1_000])
@pytest.mark.parametrize("restart", [False, True])
def test_each_event_of_the_stream_is_in_the_log_when_the_time_is_known(
    tmp_path: Path, utc: datetime | None, age_ms: int | None, uptime_us: int, restart: bool
) -> None:
    """The controller stops, with or without UTC, and comes back in the same run or in another."""
    log, sent = EventLog(), []
    log.subscribe(lambda event: sent.append(event.key))
    log.update(snapshot(utc=utc, uptime_us=9_000_000))
    log.update(snapshot(ALARM, utc=utc, uptime_us=10_000_000))
    if restart:  # of the server, while the controller is stopped
        EventFile(tmp_path / "e.json", log).save()
        log = EventLog()
        EventFile(tmp_path / "e.json", log).load()
        log.subscribe(lambda event: sent.append(event.key))
    log.update(stale(age_ms))
    if utc and not restart:
        assert the_entries(log) == sent, "while the controller is stopped"
    log.update(snapshot(utc=None, uptime_us=uptime_us))
    log.update(snapshot(uptime_us=uptime_us + 1_000_000))
    assert {"SupplyHigh", "UnitStateCritical", "UnitStateNormal", "AlarmCleared"} <= set(sent)
    assert the_entries(log) == sent
    EventFile(tmp_path / "e.json", log).save()
    again = EventLog()
    EventFile(tmp_path / "e.json", again).load()
    assert the_entries(again) == sent


def test_the_time_of_a_stop_is_that_of_the_last_record_and_its_age() -> None:
    log = EventLog()
    log.update(snapshot())
    log.update(stale(4000))
    assert log.events[-1].key == "UnitStateCritical"
    assert log.events[-1].created == UTC_NOW + timedelta(seconds=4)


def test_a_time_that_is_not_that_of_the_event_is_only_the_time_of_the_entry() -> None:
    log = EventLog()
    log.update(snapshot(ALARM, utc=None, uptime_us=10_000_000))
    log.update(snapshot(ALARM, uptime_us=1_000_000))
    (event,) = log.events
    assert "EventTimestamp" not in event.record()
    resource = LogResources(ResourceTree(), SensorModel(FakeSource(1)), log)._entry(event)
    assert resource.body()["Created"].startswith("2026-11-28T09:00:00")
    assert "EventTimestamp" not in resource.body()


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text(json.dumps({
        "version": 1, "next": 9, "state": "normal",
        "events": [[8, "SupplyHigh", ["supply_high"], "Critical", "hot", "Look.",
                    UTC_NOW.isoformat()]],
        "alarms": [[130, "supply_high", "", 1, "cleared_unacknowledged", "hot", "Look."]],
    }))  # fmt: skip
    log = EventLog()
    EventFile(path, log).load()
    log.update(snapshot())
    assert [event.key for event in log.events] == ["SupplyHigh"]


def test_the_uptime_alone_is_no_reason_to_write_the_file(tmp_path: Path) -> None:
    log, path = EventLog(), tmp_path / "events.json"
    file = EventFile(path, log)
    log.update(snapshot(ALARM))
    file.save()
    before = path.stat().st_mtime_ns, path.stat().st_ino
    log.update(snapshot(ALARM, uptime_us=9_000_000))
    file.save()
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_an_unknown_code_has_a_message() -> None:
    assert published(snapshot(replace(ALARM, code="of_a_later_version"))) == ["UnknownAlarm"]


def test_a_time_is_added_when_the_clock_is_known_in_the_same_run() -> None:
    log = EventLog()
    log.update(snapshot(ALARM, utc=None, uptime_us=10_000_000))
    assert log.events[0].created is None
    assert "EventTimestamp" not in log.events[0].record()
    log.update(snapshot(ALARM, uptime_us=40_000_000))
    assert log.events[0].created == UTC_NOW - timedelta(seconds=30)


def test_a_time_of_another_run_is_not_used() -> None:
    log = EventLog()
    log.update(snapshot(ALARM, utc=None, uptime_us=10_000_000))
    log.update(snapshot(ALARM, utc=None, uptime_us=1_000_000))
    log.update(snapshot(ALARM, uptime_us=20_000_000))
    assert log.events[0].created is None


def test_the_start_has_the_time_of_the_system_clock_if_it_was_set() -> None:
    log = EventLog()
    log.note_start(datetime(1970, 1, 1, tzinfo=UTC))
    assert not log.events
    log.note_start(UTC_NOW)
    assert (log.events[0].key, log.events[0].created) == ("ServerStarted", UTC_NOW)


def test_the_ring_is_bounded() -> None:
    log = EventLog()
    for number in range(600):
        log.update(snapshot(*([ALARM] if number % 2 else [])))
    assert len(log.events) == 256


# --- over the network ---------------------------------------------------------------------------


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    with ServiceBench(tmp_path) as found:
        set_state(found, "normal")
        found.source.replace(alarms=())
        wait_until(lambda: found.events._state == "normal" and not found.events._follower.alarms)
        found.events.clear()
        yield found


def wait_until(fact: Callable[[], bool], timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_curl_gets_an_alarm_by_the_stream_within_two_seconds(bench: ServiceBench) -> None:
    curl = require_program("curl")
    command = [curl, "-skN", "-u", f"reader:{PASSWORD}", f"{bench.url}{ROOT}/EventService/SSE"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == ": connected\n"
        admin = ApiClient(bench, "admin")
        (member,) = admin.get(SUBSCRIPTIONS)["Members"]
        assert admin.get(member["@odata.id"])["SubscriptionType"] == "SSE"
        raised = time.monotonic()
        bench.source.replace(alarms=(ALARM,))
        lines = [client.stdout.readline() for _number in range(3)]
        assert time.monotonic() - raised < 2.0
        assert lines[1].startswith("id: ")
        body = json.loads(lines[2].removeprefix("data: "))
        (record,) = body["Events"]
        assert record["MessageId"] == "Coldloop.1.0.SupplyHigh"
        assert record["Severity"] == "Critical"
        assert record["OriginOfCondition"] == {"@odata.id": f"{ROOT}/ThermalEquipment/CDUs/1"}
        client.terminate()
        wait_until(lambda: admin.get(SUBSCRIPTIONS)["Members@odata.count"] == 0, 10)
        admin.link.close()


def test_sseclient_gets_an_event_immediately(bench: ServiceBench) -> None:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(
            f"{bench.url}{ROOT}/EventService/SSE", auth=("reader", PASSWORD), stream=True,
            verify=str(bench.folder / "https" / "certificate.pem"),
        )  # fmt: skip
        events = sseclient.SSEClient(answer).events()
        wait_until(lambda: len(bench.service._events.subscriptions) == 1)
        raised = time.monotonic()
        bench.source.replace(alarms=(ALARM,))
        event = next(events)
        assert time.monotonic() - raised < 2.0
        assert json.loads(event.data)["Events"][0]["MessageId"] == "Coldloop.1.0.SupplyHigh"
        answer.close()


def test_a_client_connects_again_and_gets_what_it_missed(bench: ServiceBench) -> None:
    bench.source.replace(alarms=(ALARM,))
    wait_until(lambda: len(bench.events.events) == 1)
    number = bench.events.events[0].id
    curl = require_program("curl")
    command = [curl, "-skN", "-u", f"reader:{PASSWORD}", "-H", f"Last-Event-ID: {number - 1}",
               f"{bench.url}{ROOT}/EventService/SSE"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        lines = [client.stdout.readline() for _number in range(4)]
        client.terminate()
    assert lines[2] == f"id: {number}\n"


def test_streams_are_bounded_and_deleting_a_subscription_ends_its_stream(
    bench: ServiceBench,
) -> None:
    curl = require_program("curl")
    command = [curl, "-skN", "-u", f"reader:{PASSWORD}", f"{bench.url}{ROOT}/EventService/SSE"]
    count = bench.limits.address_streams
    streams = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _n in range(count)]
    admin = ApiClient(bench, "admin")
    try:
        for stream in streams:
            assert stream.stdout is not None
            assert stream.stdout.readline() == ": connected\n"
        assert admin.call("GET", f"{ROOT}/EventService/SSE")[0] == 503
        path = admin.get(SUBSCRIPTIONS)["Members"][0]["@odata.id"]
        assert admin.call("DELETE", path)[0] == 204
        wait_until(lambda: any(stream.poll() is not None for stream in streams))
    finally:
        admin.link.close()
        for stream in streams:
            stream.kill()
            stream.communicate()


class EventReceiver:
    """An HTTPS server that takes events. `status`: of its answers. `byte_s`: s of each byte."""

    def __init__(self, folder: Path) -> None:
        self.received: queue.Queue[tuple[dict[str, Any], dict[str, str]]] = queue.Queue()
        self.status = 204
        self.attempts, self.byte_s = 0, 0.0
        store = make_certificates(folder / "receiver", "localhost")
        self.authority = folder / "receiver" / "certificate.pem"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.attempts += 1
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.received.put((body, dict(self.headers)))
                for byte in b"HTTP/1.1 200 OK and more words" if outer.byte_s else b"":
                    try:
                        self.wfile.write(bytes((byte,)))
                    except OSError:
                        return
                    time.sleep(outer.byte_s)
                self.send_response(outer.status)
                self.send_header("Location", "https://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = store.context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}/events?a=1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[EventReceiver]:
    found = EventReceiver(tmp_path)
    yield found
    found.close()


def test_events_are_pushed_with_the_headers_of_the_subscriber(
    tmp_path: Path, receiver: EventReceiver
) -> None:
    networks, authority = ["127.0.0.0/8"], str(receiver.authority)
    with ServiceBench(tmp_path, networks=networks, authorities=authority) as bench:
        admin = ApiClient(bench, "admin")
        body = {
            "Destination": receiver.url, "Protocol": "Redfish", "Context": "hall 1",
            "HttpHeaders": [{"X-Key": "secret-of-the-subscriber"}],
        }  # fmt: skip
        status, found, headers = admin.call("POST", SUBSCRIPTIONS, body)
        assert status == 201
        assert "secret-of-the-subscriber" not in json.dumps(found)
        target = f"{ROOT}/EventService/Actions/EventService.SubmitTestEvent"
        assert admin.call("POST", target, {})[0] == 204
        event, fields = receiver.received.get(timeout=20)
        assert event["Context"] == "hall 1"
        assert event["Events"][0]["MessageId"] == "Coldloop.1.0.TestEvent"
        assert fields["X-Key"] == "secret-of-the-subscriber"
        receiver.status = 500
        admin.call("POST", target, {})
        wait_until(lambda: admin.call("GET", headers["Location"])[0] == 404)
        assert receiver.attempts == 4  # 1 success, then 3 attempts end the subscription
        admin.link.close()


@pytest.mark.parametrize("user", ["user:a-secret", "a-secret", ":a-secret", "a%2Dsecret@user"])
def test_a_destination_with_a_password_is_refused_and_not_shown(tmp_path: Path, user: str) -> None:
    with ServiceBench(tmp_path, networks=["127.0.0.0/8"]) as bench:
        admin, reader = ApiClient(bench, "admin"), ApiClient(bench, "reader")
        body = {"Destination": f"https://{user}@127.0.0.1:1/x", "Protocol": "Redfish"}
        status, found, _headers = admin.call("POST", SUBSCRIPTIONS, body)
        assert status == 400
        assert "Use HttpHeaders" in json.dumps(found)
        assert "secret" not in json.dumps(found)
        assert reader.get(SUBSCRIPTIONS)["Members"] == []
        assert "secret" not in repr(bench.audit.entries)
        for client in (admin, reader):
            client.link.close()


def test_the_certificate_of_a_receiver_can_come_from_a_site_authority_of_the_machine(
    receiver: EventReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL reads the trust store at each attempt, so no restart is needed."""
    push = EventPush(["127.0.0.0/8"])
    with pytest.raises(ssl.SSLCertVerificationError):
        push.post(receiver.url, b"{}", {})
    monkeypatch.setenv("SSL_CERT_FILE", str(receiver.authority))
    push.post(receiver.url, b"{}", {})
    assert receiver.attempts == 1


@pytest.mark.parametrize(
    "destination",
    ["https://127.0.0.1/", "https://[::1]/", "https://10.1.2.3/", "https://[::ffff:10.1.2.3]/",
     "http://192.168.1.5/", "file:///etc/passwd", "https://", "https://192.168.1.5:0/",
     "https://192.168.1.5:99999/", "https://192.168.1.5/\n", "gopher://192.168.1.5/", 7, None],
)  # fmt: skip
def test_a_destination_outside_of_the_permitted_networks_is_refused(
    tmp_path: Path, destination: object
) -> None:
    with ServiceBench(tmp_path, networks=["192.168.1.0/24"]) as bench:
        admin = ApiClient(bench, "admin")
        body = {"Destination": destination, "Protocol": "Redfish"}
        status, found, _headers = admin.call("POST", SUBSCRIPTIONS, body)
        assert status == 400, found
        assert admin.get(SUBSCRIPTIONS)["Members@odata.count"] == 0
        admin.link.close()


def test_a_name_is_looked_up_at_each_attempt_and_must_be_permitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    push = EventPush(["192.168.1.0/24"])
    assert push.refusal("https://receiver.example/") == ""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: found)
    with pytest.raises(DeliveryError, match="no address in a permitted network"):
        push.post("https://receiver.example/", b"{}", {})


def test_a_receiver_with_another_certificate_gets_nothing(receiver: EventReceiver) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        EventPush(["127.0.0.0/8"]).post(receiver.url, b"{}", {})
    assert receiver.attempts == 0


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"Protocol": "FakeProtocol"}, "PropertyValueNotInList"),
        ({"Zap": 1}, "PropertyUnknown"),
        ({"HttpHeaders": [{"A": "b\r\nC: d"}]}, "PropertyValueTypeError"),
        ({"HttpHeaders": [{"A b": "c"}]}, "PropertyValueTypeError"),
        ({"RegistryPrefixes": "Base"}, "PropertyValueTypeError"),
        ({"Context": 7}, "PropertyValueTypeError"),
        ({"Context": "x" * 2000}, "PropertyValueTypeError"),
        ({"SubscriptionType": "SSE"}, "PropertyValueNotInList"),
    ],
)
def test_a_subscription_that_is_not_valid_is_refused(
    tmp_path: Path, change: dict[str, object], key: str
) -> None:
    with ServiceBench(tmp_path, networks=["192.168.1.0/24"]) as bench:
        admin = ApiClient(bench, "admin")
        body = {"Destination": "https://192.168.1.5/", "Protocol": "Redfish", **change}
        status, found, _headers = admin.call("POST", SUBSCRIPTIONS, body)
        assert (status, keys(found)) == (400, [key])
        admin.link.close()


def test_filters_of_a_subscription_and_its_bound(tmp_path: Path, receiver: EventReceiver) -> None:
    authority = str(receiver.authority)
    with ServiceBench(tmp_path, networks=["127.0.0.0/8"], authorities=authority) as bench:
        admin = ApiClient(bench, "admin")
        base = {"Destination": receiver.url, "Protocol": "Redfish"}
        for lists in ({"MessageIds": ["Coldloop.1.0.AlarmCleared"]},
                      {"RegistryPrefixes": ["Base"]}, {"ExcludeRegistryPrefixes": ["Coldloop"]},
                      {"ResourceTypes": ["Chassis"]},
                      {"ExcludeMessageIds": ["Coldloop.1.0.SupplyHigh"]}):  # fmt: skip
            assert admin.call("POST", SUBSCRIPTIONS, {**base, **lists})[0] == 201
        set_state(bench, "normal")
        bench.source.replace(alarms=(ALARM,))
        wait_until(lambda: bool(bench.events._follower.alarms))
        bench.source.replace(alarms=())
        body, _fields = receiver.received.get(timeout=20)
        assert body["Events"][0]["MessageId"].startswith("Coldloop.1.0.")
        for number in range(11):
            assert admin.call("POST", SUBSCRIPTIONS, base)[0] == 201, number
        assert admin.call("POST", SUBSCRIPTIONS, base)[0] == 503
        admin.link.close()


def test_the_log_lists_events_with_a_time_and_can_be_cleared(bench: ServiceBench) -> None:
    entries = f"{ROOT}/Managers/1/LogServices/Events/Entries"
    admin = ApiClient(bench, "admin")
    bench.source.replace(utc=None, alarms=(ALARM,))
    wait_until(lambda: bool(bench.events._follower.alarms))
    assert admin.get(entries)["Members"] == []
    bench.source.replace(utc=UTC_NOW)
    wait_until(lambda: admin.get(entries)["Members@odata.count"] == 1)
    (entry,) = admin.get(entries)["Members"]
    assert entry["MessageId"] == "Coldloop.1.0.SupplyHigh"
    assert entry["Resolution"] == "Look."
    assert admin.get(entry["@odata.id"])["Created"] == entry["Created"]
    target = f"{ROOT}/Managers/1/LogServices/Events/Actions/LogService.ClearLog"
    assert admin.call("POST", target, {})[0] == 204
    assert admin.get(entries)["Members"] == []
    admin.link.close()


@pytest.mark.parametrize(
    ("role", "left"),
    [("Operator", ["push"]), ("ReadOnly", []), ("", []), ("Administrator", ["push"])],
)
def test_deliveries_end_with_the_right_to_subscribe(
    tmp_path: Path, role: str, left: list[str]
) -> None:
    """A changed account loses its streams; without the right it loses its push, too."""
    with ServiceBench(tmp_path) as bench:
        events = bench.service._events
        for name, user in (("push", "otto"), ("stream", "otto"), ("other", "olga")):
            events._add_subscription(name, "", user).stream = name == "stream"
        events.end_streams("otto", role)
    assert [entry.destination for entry in events.subscriptions.values()] == [*left, "other"]


def test_a_push_that_cannot_follow_ends(tmp_path: Path) -> None:
    """A client looks whether its subscription is there, so one that gets nothing is not kept."""
    with ServiceBench(tmp_path, networks=["127.0.0.0/8"]) as bench:
        events = bench.service._events
        push = events._add_subscription("https://127.0.0.1:1/", "", "otto")
        stream = events._add_subscription("sse://127.0.0.1", "", "otto")
        stream.stream = True
        for number in range(257):
            assert push.alive
            events._events.record_start = number  # each one is a record
            events._distribute(event())
        assert events.subscriptions == {}
        assert not push.alive


def test_pushes_take_no_place_of_a_stream(tmp_path: Path) -> None:
    async def read() -> str:
        return await anext(events.stream(Call("", "otto"), ""))

    with ServiceBench(tmp_path) as bench:
        events = bench.service._events
    for number in range(16):
        events._add_subscription(f"https://127.0.0.1:{number + 1}/", "", "olga")
    assert asyncio.run(read()) == ": connected\n\n"


def test_a_push_for_ever_loses_its_oldest_events(tmp_path: Path) -> None:
    with ServiceBench(tmp_path, networks=["127.0.0.0/8"]) as bench:
        events = bench.service._events
        push = events._add_subscription("https://127.0.0.1:1/", "", "otto")
        push.forever = True
        for number in range(300):
            events._events.record_start = number  # each one is a record
            events._distribute(replace(event(), id=number))
        assert push.alive
        assert push.queue.qsize() == 256
        assert push.queue._queue[-1].id == 299  # type: ignore[attr-defined]


def test_attempts_for_ever_go_on_until_the_receiver_is_back() -> None:
    """A receiver that starts again is away for longer than three attempts."""
    push, ended, attempts = EventPush(["127.0.0.0/8"], interval_s=0), [], []

    def post(*_arguments: object) -> None:
        attempts.append(1)
        if len(attempts) < 9:
            raise ConnectionRefusedError

    push.post = post  # type: ignore[assignment,method-assign]

    async def run() -> None:
        subscription = Subscription("1", "https://127.0.0.1:1/", forever=True)
        subscription.queue.put_nowait(replace(event(), id=7))
        push.start(subscription, lambda: ended.append(1))
        async with asyncio.timeout(10):
            while subscription.delivered != 7:  # noqa: ASYNC110 - no event of it
                await asyncio.sleep(0.01)

    asyncio.run(run())
    assert (len(attempts), ended) == (9, [])


def test_a_subscription_lasts_over_a_restart(tmp_path: Path, receiver: EventReceiver) -> None:
    """A receiver does not see a restart, so it would wait for events that never come."""
    options: dict[str, Any] = {
        "networks": ["127.0.0.0/8"], "authorities": str(receiver.authority), "state": tmp_path,
    }  # fmt: skip
    file = tmp_path / "redfish-subscriptions.json"
    body = {
        "Destination": receiver.url, "Protocol": "Redfish", "Context": "hall 1",
        "HttpHeaders": [{"X-Key": "secret"}], "DeliveryRetryPolicy": "RetryForever",
        "RegistryPrefixes": ["Coldloop"],
    }  # fmt: skip
    with ServiceBench(tmp_path, **options) as bench:
        admin = ApiClient(bench, "admin")
        status, before, headers = admin.call("POST", SUBSCRIPTIONS, body)
        assert (status, before["DeliveryRetryPolicy"]) == (201, "RetryForever")
        wait_until(lambda: file.exists() and "hall 1" in file.read_text())
        admin.link.close()
    assert file.stat().st_mode & 0o077 == 0
    with ServiceBench(tmp_path, **options) as bench:
        admin = ApiClient(bench, "admin")
        after = admin.get(headers["Location"])
        assert after == before
        assert admin.call("POST", SUBSCRIPTIONS, body)[2]["Location"] != headers["Location"]
        admin.call("POST", f"{ROOT}/EventService/Actions/EventService.SubmitTestEvent", {})
        _event, fields = receiver.received.get(timeout=20)
        assert fields["X-Key"] == "secret"
        admin.link.close()


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({}, [8]),
        ({"user": "reader"}, []),
        ({"user": "gone"}, []),
        ({"body": {"Destination": "https://10.0.0.1/", "Protocol": "Redfish"}}, []),
        ({"body": {"Destination": "x"}}, []),
        ({"body": 7}, []),
        ({"id": "x"}, []),
    ],
)
def test_a_restored_subscription_gets_what_it_missed_or_is_left_out(
    tmp_path: Path, change: dict[str, Any], left: list[int]
) -> None:
    body = {"Destination": "https://127.0.0.1:1/", "Protocol": "Redfish"}
    entry = {"id": "3", "user": "admin", "delivered": 7, "body": body, **change}
    file = tmp_path / "redfish-subscriptions.json"
    file.write_text(json.dumps({"next": 5, "subscriptions": [entry]}))
    bench, log = ServiceBench(tmp_path, networks=["127.0.0.0/8"]), EventLog()
    bench.server.close()
    events = bench.service._events
    log.events.extend(replace(event(), id=number) for number in (6, 7, 8))
    events._events = log
    roles = {"admin": "Administrator", "reader": "ReadOnly"}
    SubscriptionFile(file, events, lambda user: roles.get(user, "")).load()
    waiting = [s.queue.get_nowait() for s in events.subscriptions.values()]
    assert [found.id for found in waiting if found is not None] == left


def test_a_burst_of_one_record_ends_no_subscription(tmp_path: Path) -> None:
    """A lost bus raises an alarm for each device; the client reads all when it gets its turn."""
    alarms = [replace(ALARM, name=f"d{number}") for number in range(300)]

    async def read() -> list[str]:
        stream = events.stream(Call("", "otto"), "")
        found = [await anext(stream)]
        events._events.update(snapshot(*alarms))
        found += [await asyncio.wait_for(anext(stream, ""), 5) for _ in alarms]
        return found

    with ServiceBench(tmp_path, networks=["127.0.0.0/8"]) as bench:
        events = bench.service._events
    events._events.update(snapshot())
    texts = asyncio.run(read())
    assert all(f"supply_high:d{number}:" in text for number, text in enumerate(texts[1:]))


def test_a_stream_ends_with_its_session(tmp_path: Path) -> None:
    """Its open stream keeps the session; the end of the session is before the next event."""
    kept: list[str] = []

    async def read(session: str, count: int) -> list[str]:
        stream = events.stream(Call("", "otto", session=session), "")
        found = [await anext(stream)]
        for _ in range(count):
            events._events.send_test(snapshot())
            found.append(await asyncio.wait_for(anext(stream, ""), 5))
        return found

    def keep(session: str) -> bool:
        kept.append(session)
        return len(kept) < 3

    with ServiceBench(tmp_path) as bench:
        events = bench.service._events
    events._keep_session = keep
    found = asyncio.run(read("7", 3))
    assert [bool(text) for text in found] == [True, True, True, False]
    assert kept == ["7"] * 3
    assert all(asyncio.run(read("", 3))), "of a user without a session"


def test_receivers_that_hang_take_no_thread_of_others() -> None:
    """A login is checked in the threads of the event loop; deliveries have their own."""
    push, hangs, entered = EventPush(["127.0.0.0/8"]), threading.Event(), threading.Semaphore(0)

    def post(*_arguments: object) -> None:
        entered.release()
        assert hangs.wait(30)

    push.post = post  # type: ignore[assignment,method-assign]

    async def run() -> None:
        for number in range(16):
            subscription = Subscription(str(number), "https://127.0.0.1:1/")
            subscription.queue.put_nowait(event())
            push.start(subscription, lambda: None)
        try:
            for _ in range(16):
                while not entered.acquire(blocking=False):  # noqa: ASYNC110 - of threads
                    await asyncio.sleep(0.01)
            assert await asyncio.wait_for(asyncio.to_thread(lambda: "login"), 10) == "login"
        finally:
            hangs.set()

    asyncio.run(asyncio.wait_for(run(), 30))


def test_an_attempt_ends_at_its_deadline(receiver: EventReceiver) -> None:
    """A receiver that sends its answer byte for byte cannot hold an attempt."""
    receiver.byte_s = 0.2
    push = EventPush(["127.0.0.0/8"], str(receiver.authority), deadline_s=1.0)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        push.post(receiver.url, b"{}", {})
    assert 1.0 <= time.monotonic() - started < 3.0
    assert receiver.attempts == 1


def test_an_unknown_error_of_a_delivery_is_a_failed_attempt() -> None:
    push, ended = EventPush(["127.0.0.0/8"], interval_s=0), []

    def post(*_arguments: object) -> None:
        raise UnicodeError("label too long")

    push.post = post  # type: ignore[assignment,method-assign]

    async def run() -> None:
        subscription = Subscription("1", "https://127.0.0.1:1/")
        subscription.queue.put_nowait(event())
        push.start(subscription, lambda: ended.append(1))
        async with asyncio.timeout(10):
            while not ended:  # noqa: ASYNC110 - no event of it
                await asyncio.sleep(0.01)

    asyncio.run(run())
