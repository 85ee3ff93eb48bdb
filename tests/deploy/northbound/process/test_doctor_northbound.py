# SPDX-License-Identifier: Apache-2.0
"""`coldloop doctor` reports what is open to which clients, and what the site can write."""

import datetime as dt
import grp
import os
from pathlib import Path
from typing import Any

import pytest

from deploy.doctor.certificates import check_certificates
from deploy.doctor.finding import BAD, GOOD, WARNING, CheckResult
from deploy.doctor.northbound import check_local, check_northbound, file_system
from deploy.doctor.ports import CHECKS
from deploy.northbound.http.certificate import CertificateStore
from deploy.northbound.process.settings import read_settings
from deploy.ops import keys
from drivers.ports.address import parse_address
from tests.deploy.northbound.process.test_process import write_config
from tests.portable.agent.northbound.test_component import WRITES


def results(folder: Path, **sections: Any) -> dict[str, CheckResult]:
    found = check_northbound(str(write_config(folder, **sections)))
    return {result.where.removeprefix("northbound "): result for result in found}


def test_without_the_section_all_is_off(tmp_path: Path) -> None:
    path = tmp_path / "unit.json"
    path.write_text("{}")
    (result,) = check_northbound(str(path))
    assert (result.verdict, result.text[:3]) == (GOOD, "off")
    path.write_text("{")
    assert list(check_northbound(str(path))) == []  # the check of the configuration says it


@pytest.mark.parametrize(
    ("http", "verdict", "text"),
    [
        ({"address": "127.0.0.1"}, GOOD, "all that can reach it"),
        ({"address": "10.0.0.5"}, WARNING, "all that can reach it"),
        ({"address": "10.0.0.5", "networks": ["10.0.0.0/24"]}, GOOD, "open to 10.0.0.0/24"),
        ({"address": "0.0.0.0", "networks": ["10.0.0.0/24"]}, WARNING, "on all interfaces"),
        ({"address": "::"}, WARNING, "on all interfaces"),
        ({"address": "cdu.example"}, BAD, "not an address"),
    ],
)
def test_each_server_is_reported(
    tmp_path: Path, http: dict[str, Any], verdict: str, text: str
) -> None:
    result = results(tmp_path, http=http)["http"]
    assert result.verdict == verdict
    assert text in result.text


def test_writers_are_named(tmp_path: Path) -> None:
    found = results(
        tmp_path,
        modbus={"address": "127.0.0.1", "writers": ["10.0.0.7/32"]},
        bacnet={"address": "10.0.0.5/24", "device": 1},
    )
    assert found["modbus"].text.endswith("writers: 10.0.0.7/32")
    assert "no login" in found["bacnet"].text
    assert found["bacnet"].text.endswith("writers: none")


def test_the_site_key_is_private(tmp_path: Path) -> None:
    writes = {**WRITES, "key": "site.key"}
    assert results(tmp_path)["writes"].verdict == WARNING  # no key
    assert results(tmp_path, writes=writes)["writes"].verdict == BAD
    keys.make_key(tmp_path, "site", 9, "site", "")
    assert results(tmp_path, writes=writes)["writes"].text == (
        "the site can write: supply_c 25 to 35; acknowledge; shelve; unshelve"
    )
    os.chmod(tmp_path / "site.key", 0o644)
    assert "others can read" in results(tmp_path, writes=writes)["writes"].text


def test_the_initial_password_is_reported(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert "state" not in results(tmp_path)
    state.mkdir(mode=0o700)
    assert "state" not in results(tmp_path)
    (state / "initial_password").write_text("x")
    assert results(tmp_path)["state"].verdict == WARNING
    os.chmod(state, 0o755)
    (state / "initial_password").unlink()
    assert results(tmp_path)["state"].verdict == BAD


def test_the_folder_of_the_record(tmp_path: Path) -> None:
    def check(text: str) -> CheckResult:
        return check_local("northbound", parse_address(text), False)

    assert CHECKS["local"] is check_local
    assert "no such folder" in check(f"local:{tmp_path}/none").text
    assert "no group" in check(f"local:{tmp_path}?group=none-of-this-name").text
    group = grp.getgrgid(os.getegid()).gr_name
    assert check(f"local:{tmp_path}?group={group}").verdict in {GOOD, WARNING}
    mounts = tmp_path / "mounts"
    mounts.write_text("x / ext4 rw 0 0\ntmpfs /run tmpfs rw 0 0\nx /running ext4 rw 0 0\n")
    assert [file_system(p, str(mounts)) for p in ("/run/coldloop", "/running/x", "/x")] == [
        "tmpfs", "ext4", "ext4",
    ]  # fmt: skip
    assert file_system("/", str(tmp_path / "none")) == "unknown"


@pytest.mark.parametrize("place", ["http own", "http", "modbus certificate", "modbus client_ca"])
def test_certificates_that_expire_are_reported(tmp_path: Path, place: str) -> None:
    """The clients refuse an expired one, and the unit says nothing of it."""
    name, _, key = place.partition(" ")
    section: dict[str, Any] = {"address": "127.0.0.1"}
    if place == "http":
        section |= {"certificate": "https/certificate.pem", "key": "https/key.pem"}
    elif name == "modbus":
        section[key] = "https/certificate.pem"
    path = str(write_config(tmp_path, **{name: section}))
    settings = read_settings(path)
    store = CertificateStore(
        (settings.state if key == "own" else tmp_path) / "https", "cdu.test", ["127.0.0.1"]
    )
    end, begin = store.describe().not_after, store.describe().not_before
    day = dt.timedelta(days=1)
    assert any("valid until" in result.text for result in check_northbound(path))
    for now, verdict in (
        (begin - day, BAD), (end - 40 * day, GOOD), (end - 20 * day, WARNING), (end + day, BAD),
    ):  # fmt: skip
        (found,) = check_certificates(settings, now)
        assert (found.where, found.verdict) == (f"northbound {name}", verdict)
    (tmp_path / "https").mkdir(exist_ok=True)
    if key != "own":
        (tmp_path / "https" / "certificate.pem").write_text("none")
        (found,) = check_certificates(settings, end - 40 * day)
        assert found.verdict == BAD
