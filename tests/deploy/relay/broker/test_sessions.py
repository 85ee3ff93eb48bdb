# SPDX-License-Identifier: Apache-2.0
"""Sessions of relays at a real mosquitto: scale down, restart, rename, another group."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.errors import DeployError
from deploy.relay import command
from deploy.relay.mqtt import session_client
from deploy.relay.records.database import RelayDatabase
from deploy.relay.relay import Relay
from protocols.telemetry import receipt
from tests.deploy.relay.relay_rig import ALARM, UNIT, PipelineRig, bulk, pack
from tests.deploy.relay.test_relay import TopicListener, wait_until
from tests.support.programs import running_mosquitto

UNITS = 20


class Worker:
    """A relay in a thread, with the fleet store."""

    def __init__(
        self,
        port: int,
        folder: Path,
        name: str,
        group: str = "relay",
        store: str = "relay",
        *more: str,
    ) -> None:
        path = folder / f"{store}.db"
        argv = ["--broker", f"tcp:127.0.0.1:{port}", "--store", str(path), "--name", name]
        argv += ["--group", group, *(more or ("--receipts", "--fleet", f"{path}.fleet"))]
        self.relay = Relay(command.parse_options(argv))
        self.relay.start()
        wait_until(self.relay.ready.is_set)
        self.thread = threading.Thread(target=self.relay.run, daemon=True)
        self.thread.start()

    @property
    def received(self) -> int:
        return self.relay.pipeline.ingest.counts["messages"]

    def close(self) -> None:
        self.relay.stop()
        self.thread.join()
        self.relay.close()

    def kill(self) -> None:
        """End the connection without a word, as a dead machine does; then tidy up."""
        client = self.relay._units_client
        client.on_disconnect = None
        client.suppress_exceptions = True
        client.loop_stop()
        client._sock_close()
        self.close()


class Units:
    """Publishes one message for each of some units, without a repetition; reads the receipts."""

    def __init__(self, port: int) -> None:
        self.listener = TopicListener(port, "coldloop/v1/+/+/ack")
        self._ident = 0

    def send(self) -> int:
        """Send a block of each unit; return the number of the blocks."""
        self._ident += 1
        for unit in range(UNITS):
            topic = f"coldloop/v1/s1/u{unit}/tele"
            self.listener.publish(topic, pack(ALARM, bulk(self._ident)))
        return self._ident

    def receipted(self, ident: int) -> int:
        """Return how many units have a receipt for a block."""
        found = set()
        for topic, data in list(self.listener.received):
            unit = "/".join(topic.split("/")[2:4])
            ranges = receipt.parse_receipt(data, unit, b"").ranges
            if any(group == 3 and first <= ident <= last for group, first, last in ranges):
                found.add(unit)
        return len(found)

    def wait_for(self, ident: int) -> None:
        wait_until(lambda: self.receipted(ident) == UNITS)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with running_mosquitto(tmp_path / "mosquitto.conf") as number:
        yield number


@pytest.fixture
def units(port: int) -> Iterator[Units]:
    each = Units(port)
    yield each
    each.listener.close()


def test_a_worker_that_stops_leaves_all_messages_to_the_others(
    port: int, units: Units, tmp_path: Path
) -> None:
    stays, goes = (Worker(port, tmp_path, name) for name in ("k0", "k1"))
    try:
        units.wait_for(units.send())
        assert goes.received
        goes.close()
        units.wait_for(units.send())
    finally:
        stays.close()


def test_the_session_of_a_dead_worker_ends(
    port: int, units: Units, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_client, "SHORT_S", 1)
    stays, dies = Worker(port, tmp_path, "k0"), Worker(port, tmp_path, "k1", store="elsewhere")
    try:
        units.wait_for(units.send())
        dies.kill()
        time.sleep(3)  # mosquitto looks for sessions that have ended once a second
        units.wait_for(units.send())
    finally:
        stays.close()


def test_a_single_relay_that_is_restarted_gets_what_came_meanwhile(
    port: int, units: Units, tmp_path: Path
) -> None:
    Worker(port, tmp_path, "k0").close()
    ident = units.send()
    again = Worker(port, tmp_path, "k0")
    try:
        units.wait_for(ident)
    finally:
        again.close()


def test_another_group_takes_nothing_of_the_old_one(
    port: int, units: Units, tmp_path: Path
) -> None:
    main = Worker(port, tmp_path, "k0", "k")
    moved = Worker(port, tmp_path, "k1", "k")
    moved.kill()
    moved = Worker(port, tmp_path, "k1", "other", "other")
    try:
        units.send()
        wait_until(lambda: moved.received >= UNITS)
        wait_until(lambda: main.received == UNITS)
        assert moved.received == UNITS
    finally:
        main.close()
        moved.close()


def test_two_groups_do_not_share_a_file(port: int, tmp_path: Path) -> None:
    main = Worker(port, tmp_path, "k0", "k")
    try:
        with pytest.raises(DeployError, match=r"relay k0 of group k uses it.*a --store of its own"):
            Worker(port, tmp_path, "a0", "alarms")
    finally:
        main.close()
    Worker(port, tmp_path, "a0", "alarms").close()  # the file has moved to this group


def test_a_name_that_is_not_used_any_more(
    port: int, units: Units, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--broker", f"tcp:127.0.0.1:{port}", "--store", str(tmp_path / "old.db")]
    options += ["--name", "k1", "--end-session"]
    stays, dead = Worker(port, tmp_path, "k0"), Worker(port, tmp_path, "k1", store="old")
    try:
        assert command.run(options) == 2
        assert "another relay with the name 'k1' uses it" in capsys.readouterr().err
        dead.kill()
        database = RelayDatabase(tmp_path / "old.db", "k1")
        with database.transaction():
            database.enqueue("s1/u1", b"abc", 7, 1, 1, b"")
        database.close()
        assert command.run(options) == 0
        assert capsys.readouterr().out.splitlines() == [
            f"relay k1: its session at tcp:127.0.0.1:{port} has ended",
            f"{tmp_path / 'old.db'}: 1 records wait for a relay with --name k1",
        ]
        units.wait_for(units.send())
    finally:
        stays.close()


def test_a_group_for_alarms_sends_no_receipts(port: int, units: Units, tmp_path: Path) -> None:
    """Else the units delete what the outputs of the main group never get."""
    main = Worker(port, tmp_path, "k0")
    alarms = Worker(port, tmp_path, "a0", "alarms", "alarms", "--alarms", "AL")
    try:
        units.wait_for(units.send())
        main.close()
        alone = units.send()
        wait_until(lambda: alarms.received == 2 * UNITS)
        alarms.close()
        assert units.receipted(alone) == 0
        late = units.send()
        main = Worker(port, tmp_path, "k0")  # the broker has kept its messages
        units.wait_for(alone)
        alarms = Worker(port, tmp_path, "a0", "alarms", "alarms", "--alarms", "AL")
        wait_until(lambda: alarms.received == UNITS)  # of a stop: no unit sends them again
        units.wait_for(late)
    finally:
        main.close()
        alarms.close()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--group k --fleet F", "--group k: only one group must send receipts"),
        ("--group k --json out", "--group k: only one group must send receipts"),
        ("--group k --alarms A --required alarms", "--required: this relay sends no receipts"),
        ("--no-receipts --json out --required json", "--required: this relay sends no receipts"),
        ("--no-receipts --json out --gateway http://g", "--gateway: this relay sends no receipts"),
        ("--no-receipts", "--no-receipts: no output"),
    ],
)
def test_wrong_groups(options: str, text: str) -> None:
    with pytest.raises(DeployError, match=text):
        command.parse_options(["--broker", "tcp:h:1", "--store", "s", *options.split()])


@pytest.mark.parametrize(
    ("options", "sends", "outputs"),
    [
        ("--alarms A", True, {"alarms", "fleet"}),
        ("--group k --alarms A", False, {"alarms"}),
        ("--group k --receipts --alarms A", True, {"alarms", "fleet"}),
        ("--group k --no-receipts --parquet P", False, {"parquet"}),
    ],
)
def test_which_relay_sends_receipts(options: str, sends: bool, outputs: set[str]) -> None:
    found = command.parse_options(["--broker", "tcp:h:1", "--store", "s", *options.split()])
    assert (found.sends_receipts, set(found.outputs)) == (sends, outputs)
    assert bool(found.required) is sends


def test_without_receipts_a_schema_is_requested_all_the_same() -> None:
    rig = PipelineRig(sends_receipts=False)
    due = rig.send(pack(bulk(1)))
    parsed = receipt.parse_receipt(due.receipts[0][1], UNIT, b"")
    assert (parsed.flags, parsed.ranges) == (receipt.SCHEMA_MISSING, [])
    assert rig.send(pack(ALARM, bulk(1), bulk(2))).receipts == []
    assert len(rig.items) == 2
    rig.close()


def test_alarms_beside_other_relays_of_the_group(
    port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = Worker(port, tmp_path, "k0")
    Worker(port, tmp_path, "k1", "relay", "relay", "--alarms", "AL").close()
    main.close()
    assert "k1: --alarms has a part of the alarms only" in capsys.readouterr().err


def test_a_session_that_another_relay_has_used_is_not_gone_on_with(
    port: int, units: Units, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A relay of another group had this name: its subscription would take messages for ever."""
    main = Worker(port, tmp_path, "k0")
    main.close()  # the broker keeps the session
    other = Worker(port, tmp_path, "k0", "alarms", "alarms", "--alarms", "AL")
    other.kill()
    main = Worker(port, tmp_path, "k0")
    other = Worker(port, tmp_path, "a0", "alarms", "alarms2", "--alarms", "AL")
    try:
        units.send()
        lines: list[str] = []

        def has_new_session() -> bool:
            """Return whether the relay has left the old session and connected again."""
            lines.append(capsys.readouterr().err)
            return "connected again" in "".join(lines).rpartition("starts a new one")[2]

        wait_until(has_new_session)
        wait_until(main.relay._is_connected.is_set)
        before = other.received
        units.wait_for(units.send())
        wait_until(lambda: other.received >= before + UNITS)
    finally:
        main.close()
        other.close()
    again = Worker(port, tmp_path, "k0")  # its own session: nothing is dropped
    try:
        units.wait_for(units.send())
    finally:
        again.close()
    assert "starts a new one" not in capsys.readouterr().err
