# SPDX-License-Identifier: Apache-2.0
"""snmpd with the values of the unit: net-snmp's tools and pysnmp as clients, informs, restarts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.errors import OpsError
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.snapshot import AlarmItem, Identity, Snapshot
from deploy.northbound.snmp import tree
from deploy.northbound.snmp.daemon_files import read_user, write_daemon_files
from deploy.northbound.snmp.informs import AlarmChanges
from tests.deploy.northbound.snmp.snmp_rig import (
    AUTHENTICATION,
    PRIVACY,
    USER,
    SnmpRig,
)
from tests.support.programs import free_udp_port, require_program

ROOT = "." + ".".join(map(str, tree.ROOT))
_LINE = re.compile(r"^(\.[0-9.]+) = (?:[A-Za-z0-9-]+: )?(.*)$", re.MULTILINE)


def _walk(rig: SnmpRig, oid: str = ROOT) -> dict[str, str]:
    text = rig.ask("snmpbulkwalk -Cr40", oid)
    found = [(name, value.strip('"')) for name, value in _LINE.findall(text)]
    # the remark at the end has the name of the last value
    return {name: value for name, value in found if not value.startswith("No ")}


def test_snmpd_serves_the_unit(tmp_path: Path) -> None:
    rig = SnmpRig(tmp_path)
    with rig.serve():
        _check_states(rig, states=3)
        _check_refusals(rig)
        _check_restart(rig)


@pytest.mark.soak
def test_snmpd_serves_many_states(tmp_path: Path) -> None:
    rig = SnmpRig(tmp_path)
    with rig.serve():
        _check_states(rig, states=1000)


def _check_states(rig: SnmpRig, states: int) -> None:
    for _ in range(states):
        rig.source.step()
        rig.write()
        time.sleep(0.3)  # longer than the responder keeps a snapshot
        walked = _walk(rig)
        snapshot = rig.source.snapshot
        for key, point in tree.snmp_points().items():
            raw = snapshot.points[key].raw
            got = walked.get("." + ".".join(map(str, point.oid)))
            if raw is None:
                assert got is None, key
            elif point.type == "TruthValue":
                assert got == ("1" if raw else "2"), key
            elif point.type in ("UnitState", "Enum"):
                assert got == str(raw + 1)
            else:
                assert got is not None, key
                number = int(re.sub(r" .*", "", got))
                assert abs(number * point.divisor - raw) <= point.divisor / 2, key
        alarms = ROOT + ".1.4.1.1.6."
        states_read = {n.removeprefix(alarms): v for n, v in walked.items() if n.startswith(alarms)}
        assert len(states_read) == len(snapshot.alarms)


def _check_refusals(rig: SnmpRig) -> None:
    before = _walk(rig, ROOT + ".1.2")
    setpoint = "." + ".".join(map(str, tree.snmp_points()["supply_setpoint"].oid))
    assert "noAccess" in rig.ask("snmpset", setpoint, "i", "20000")
    assert "noAccess" in rig.ask("snmpset", ".1.3.6.1.2.1.1.5.0", "s", "x")
    for options in ("-v2c -c public", "-v1 -c public", f"-v3 -l noAuthNoPriv -u {USER}"):
        text = rig.ask("snmpget", ".1.3.6.1.2.1.1.1.0", timeout=1, options=options)
        assert "STRING" not in text, options
    weak = f"-v3 -l authNoPriv -u {USER} -a SHA-256 -A {AUTHENTICATION}"
    assert "authorizationError" in rig.ask("snmpget", ".1.3.6.1.2.1.1.1.0", options=weak)
    # outside of the view: no users, no host
    assert _walk(rig, ".1.3.6.1.6.3.15") == {}
    assert _walk(rig, ".1.3.6.1.2.1.25") == {}
    assert _walk(rig, ROOT + ".1.2") == before


def _check_restart(rig: SnmpRig) -> None:
    """snmpd and its program are killed; both come back, and engine boots grow."""
    boots = _boots(rig)
    responder = _child(rig.process.daemon_pid)
    os.kill(responder, signal.SIGKILL)
    assert _walk(rig, ROOT + ".1.1")
    os.kill(rig.process.daemon_pid, signal.SIGKILL)
    start = time.monotonic()
    rig.wait_until_ready()
    assert time.monotonic() - start < 20
    assert _boots(rig) > boots
    assert rig.process.starts == 2


def _boots(rig: SnmpRig) -> int:
    text = (rig.settings.folder / "engine" / "snmpd.conf").read_text()
    return int(re.findall(r"^engineBoots (\d+)", text, re.MULTILINE)[0])


def _child(pid: int) -> int:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return int(text.split()[0])


def test_pysnmp_reads_the_unit(tmp_path: Path) -> None:
    hlapi = pytest.importorskip("pysnmp.hlapi.v3arch.asyncio")
    root = (1, 3, 6, 1, 4, 1, 55555, 7)
    rig = SnmpRig(tmp_path, root=root)
    rig.source.set_point("supply_temperature", 31_234)
    rig.write()

    async def read() -> int:
        engine = hlapi.SnmpEngine()
        target = await hlapi.UdpTransportTarget.create(("127.0.0.1", rig.settings.port))
        point = tree.snmp_points()["supply_temperature"]
        oid = ".".join(map(str, tree.moved(point.oid, root)))
        user = hlapi.UsmUserData(
            USER,
            AUTHENTICATION,
            PRIVACY,
            authProtocol=hlapi.USM_AUTH_HMAC192_SHA256,
            privProtocol=hlapi.USM_PRIV_CFB128_AES,
        )
        error, status, _, values = await hlapi.get_cmd(
            engine, user, target, hlapi.ContextData(), hlapi.ObjectType(hlapi.ObjectIdentity(oid))
        )
        engine.close_dispatcher()
        assert not error, error
        assert not status
        return int(values[0][1])

    with rig.serve():
        assert asyncio.run(read()) == 31_234


def test_random_datagrams(tmp_path: Path) -> None:
    rig = SnmpRig(tmp_path)
    rng = random.Random(7)
    with rig.serve(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        pid = rig.process.daemon_pid
        for number in range(3000):
            data = b"\x30\x3a\x02\x01\x03\x30\x0f" + rng.randbytes(rng.randrange(60))
            sock.sendto(data, ("127.0.0.1", rig.settings.port))
            if number % 50 == 0:
                time.sleep(0.005)
        assert "STRING" in rig.ask("snmpget", ".1.3.6.1.2.1.1.1.0")
        assert rig.process.daemon_pid == pid


# --- informs -------------------------------------------------------------------------------------


@contextlib.contextmanager
def inform_receiver(folder: Path) -> Iterator[tuple[int, Path]]:
    """Run snmptrapd; give its port and its file of received informs."""
    program = require_program("snmptrapd")
    port, log, conf = free_udp_port(), folder / "informs", folder / "trapd.conf"
    conf.write_text(
        f'createUser {USER} SHA-256 "{AUTHENTICATION}" AES "{PRIVACY}"\n'
        f"authUser log {USER} priv\ndisableAuthorization no\n"
    )
    process = subprocess.Popen(
        [program, "-f", "-Lf", str(log), "-C", "-c", str(conf), "-On", "-n",
         f"udp:127.0.0.1:{port}"],
        env={"PATH": os.environ["PATH"], "MIBS": "", "SNMP_PERSISTENT_DIR": str(folder / "trapd")},
    )  # fmt: skip
    try:
        yield port, log
    finally:
        process.kill()
        process.wait(10)


def _alarm(state: str, text: str = "too hot", name: str = "rack 1") -> AlarmItem:
    return AlarmItem(202, "supply_high", name, 1, state, text, "Act.")


def test_informs_reach_theinform_receiver(tmp_path: Path) -> None:
    with inform_receiver(tmp_path) as (port, log):
        dead = f"127.0.0.1:{free_udp_port()}"
        rig = SnmpRig(tmp_path, (dead, f"127.0.0.1:{port}"))
        rig.source.replace(alarms=())
        rig.write()
        with rig.serve():
            time.sleep(0.5)
            for number, alarms in enumerate(
                (
                    (_alarm("active_unacknowledged", "-v2c -c x"),),
                    (_alarm("active_acknowledged"),),
                    (),
                ),
                1,
            ):
                rig.source.replace(alarms=alarms)
                start = time.monotonic()
                while log.read_text().count(ROOT + ".0.") < number:
                    assert time.monotonic() - start < 10
                    rig.write()
                    time.sleep(0.05)
            text = log.read_text()
    kinds = re.findall(re.escape(ROOT) + r"\.0\.(\d)", text)
    assert kinds[:3] == ["1", "3", "2"]
    assert '"supply_high"' in text
    assert '"-v2c -c x"' in text


def test_changes_of_alarms() -> None:
    source, changes = FakeSource(1), AlarmChanges()

    def kinds(*alarms: AlarmItem) -> list[int]:
        source.replace(alarms=alarms, stale=False)
        return [inform.kind for inform in changes.update(source.snapshot)]

    assert kinds(_alarm("active_unacknowledged")) == [1]
    assert kinds(_alarm("active_unacknowledged")) == []
    assert kinds(_alarm("active_acknowledged")) == [3]
    source.stop()
    assert changes.update(source.snapshot) == []
    source.step()
    assert kinds(_alarm("cleared_unacknowledged")) == [2]
    assert kinds() == [3], "acknowledged after its end"
    assert kinds(_alarm("active_unacknowledged"), _alarm("active_unacknowledged", name="b")) == [
        1,
        1,
    ]
    assert kinds(_alarm("active_unacknowledged")) == [2, 3]


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "mode"),
    [
        ("a b", "authentication: 123456789012\nprivacy: 223456789012\n", 0o600),
        ("u", "authentication: short\nprivacy: 223456789012\n", 0o600),
        ("u", "authentication: 123456789012\n", 0o600),
        ("u", 'authentication: 12345678"012\nprivacy: 223456789012\n', 0o600),
        ("u", "authentication: 123456789012\nprivacy: 123456789012\n", 0o600),
        ("u", "authentication: 123456789012\nprivacy: 223456789012\n", 0o640),
    ],
)
def test_bad_users_are_refused(tmp_path: Path, name: str, content: str, mode: int) -> None:
    keys = tmp_path / "keys"
    keys.write_text(content)
    keys.chmod(mode)
    with pytest.raises(OpsError):
        read_user(name, keys)


def test_a_credential_of_systemd_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "northbound_snmp.keys"
    keys.write_text("authentication: 123456789012\nprivacy: 223456789012\n")
    keys.chmod(0o440)
    with pytest.raises(OpsError):
        read_user("u", keys)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_user("u", keys).name == "u"
    keys.chmod(0o444)
    with pytest.raises(OpsError):
        read_user("u", keys)


def test_files_are_private_and_take_no_directives(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("authentication: 123456789012\nprivacy: 223456789012\n")
    keys.chmod(0o600)
    user = read_user("u", keys)
    assert "1234" not in repr(user)
    identity = Identity("s\nrwcommunity public", 'u"#', location="x\r\nrwuser u")
    path = write_daemon_files(tmp_path / "s", user, "127.0.0.1", 1161, Snapshot(identity=identity))
    lines = path.read_text().splitlines()
    assert not [line for line in lines if line.startswith(("rw", "com2sec", "rocommunity"))]
    for file in (tmp_path / "s").rglob("*.conf"):
        assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(OpsError):
        write_daemon_files(tmp_path / "s", user, "0.0.0.0\nx", 1161, Snapshot(identity=identity))
