# SPDX-License-Identifier: Apache-2.0
"""The configuration of a start of `coldloop agent` after changes of operators."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.commands import profiles, read_config
from agent.core.errors import ConfigError
from agent.remote.message import canonical
from agent.remote.storage.config_slots import SLOTS, ConfigSlots, with_hash
from agent.remote.update.boot import DECOMMISSIONED_KEY
from agent.runtime.cpython_start import choose_config
from drivers.ports.address import parse_address
from drivers.ports.cpython.store import Store
from protocols import cbor

Raw = dict[str, Any]


@pytest.fixture
def site(tmp_path: Path) -> Raw:
    raw: Raw = json.loads(Path("deploy/examples/unit.json").read_text())
    publics = [Ed25519PrivateKey.generate().public_key() for _ in range(2)]
    key, second = (public.public_bytes(Encoding.Raw, PublicFormat.Raw).hex() for public in publics)
    (tmp_path / "store").mkdir()
    raw["remote"] = {
        "port": f"store:{tmp_path}/store",
        "keys": [
            {"number": 1, "public": key, "role": "operate"},
            {"number": 2, "public": second, "role": "limits"},
        ],
    }
    (tmp_path / "unit.json").write_text(json.dumps(raw))
    return raw


def started_setpoint(tmp_path: Path, name: str = "unit.json") -> float:
    """Return the set-point of a start."""
    config, _ = choose_config(str(tmp_path / name), str(tmp_path / "store"), profiles())
    return config.supply.setpoint


def store_change(tmp_path: Path, site: Raw, setpoint: float, confirmed: bool) -> None:
    """Write the records of the remote manager to the store."""
    store = Store(parse_address(f"store:{tmp_path}/store"))
    file = json.loads((tmp_path / "unit.json").read_text())
    changed = json.loads(json.dumps(site))
    changed["control"]["supply"]["setpoint_c"] = setpoint
    slots = ConfigSlots(canonical.hash_config(canonical.encode_config(file)))
    writes = slots.start_trial(5, 3600, [], canonical.encode_config(changed))
    for key, data in [*writes, slots.confirm() if confirmed else slots.record_write()]:
        store.write(key, data)


def test_a_first_start_runs_the_file(tmp_path: Path, site: Raw) -> None:
    assert started_setpoint(tmp_path) == 32


def test_confirmed_change_runs_after_a_restart(tmp_path: Path, site: Raw) -> None:
    store_change(tmp_path, site, 33.5, confirmed=True)
    assert started_setpoint(tmp_path) == 33.5
    site["limits"]["supply_max_c"] = 41
    (tmp_path / "unit.json").write_text(json.dumps(site))
    assert started_setpoint(tmp_path) == 32


def test_trial_starts_are_limited(tmp_path: Path, site: Raw) -> None:
    store_change(tmp_path, site, 33.5, confirmed=False)
    store = Store(parse_address(f"store:{tmp_path}/store"))
    seen = []
    for _ in range(5):
        config, boot = choose_config(str(tmp_path / "unit.json"), "", profiles())
        assert boot is not None
        for key, data in boot.writes:  # like the remote manager when its port has opened
            store.write(key, data)
        seen.append(config.supply.setpoint)
    assert seen == [33.5, 33.5, 33.5, 32, 32]


def test_invalid_trial_is_not_started(tmp_path: Path, site: Raw) -> None:
    store_change(tmp_path, site, 99, confirmed=False)
    assert started_setpoint(tmp_path) == 32


def test_confirmed_configuration_runs_when_the_file_is_invalid(
    tmp_path: Path, site: Raw, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError):
        started_setpoint(tmp_path, "missing.json")
    store_change(tmp_path, site, 33.5, confirmed=True)
    (tmp_path / "bad.json").write_text("{")
    assert started_setpoint(tmp_path, "bad.json") == 33.5
    errors = capsys.readouterr().err
    assert "bad.json" in errors
    assert "running the confirmed configuration" in errors
    (tmp_path / "store" / SLOTS[0]).write_bytes(b"damaged")
    with pytest.raises(ConfigError):
        started_setpoint(tmp_path, "bad.json")


def test_missing_store_is_empty(tmp_path: Path, site: Raw) -> None:
    site["remote"]["port"] = f"store:{tmp_path}/nowhere"
    (tmp_path / "unit.json").write_text(json.dumps(site))
    assert started_setpoint(tmp_path) == 32


def test_toml_and_json_give_the_same_configuration(tmp_path: Path, site: Raw) -> None:
    toml = """
version = 1
site = "s1"
unit = "u1"
buses = { field = "serial:/dev/ttyUSB1?baud=19200&parity=E" }
devices = [
  { name = "rpu", bus = "field", unit = 1, profile = "orv3_rpu" },
  { name = "valve", bus = "field", unit = 2, profile = "belimo_valve" },
  { name = "pump", bus = "field", unit = 3, profile = "abb_acs580" },
]
[control.supply]
setpoint_c = 32.5
sensor = "rpu"
valve = "valve"
[control.dp]
setpoint_kpa = 120
sensor = "rpu"
pumps = ["pump"]
"""
    (tmp_path / "unit.toml").write_text(toml)
    assert read_config(str(tmp_path / "unit.toml")).supply.setpoint == 32.5
    (tmp_path / "unit.toml").write_text("a = ")
    with pytest.raises(ConfigError, match=r"unit\.toml: not TOML: Invalid value"):
        read_config(str(tmp_path / "unit.toml"))


def decommission_unit(tmp_path: Path, site: Raw) -> None:
    """Write the records of a decommissioned unit to the store, besides its other records."""
    store_change(tmp_path, site, 33.5, confirmed=True)
    store = Store(parse_address(f"store:{tmp_path}/store"))
    file = json.loads((tmp_path / "unit.json").read_text())
    parts = ["s/u", None, 7, bytes(32), canonical.hash_config(canonical.encode_config(file))]
    store.write(DECOMMISSIONED_KEY, with_hash(cbor.encode(parts)))
    store.write("audit.0", b"who did what")
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "log.0").write_bytes(b"rows" * 1000)
    (tmp_path / "unit.key").write_text("a private key")


def test_a_decommissioned_unit_erases_itself_and_does_not_start(tmp_path: Path, site: Raw) -> None:
    site["state"] = f"store:{tmp_path}/log"
    site["broker"] = {"address": f"tls:h:1?ca=/ca.pem&cert=/c.pem&key={tmp_path}/unit.key"}
    (tmp_path / "unit.json").write_text(json.dumps(site))
    decommission_unit(tmp_path, site)
    command = [sys.executable, "-m", "coldloop", "agent", "--config", f"{tmp_path}/unit.json"]
    command += ["--store", f"{tmp_path}/store"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "decommissioned: its records, keys and this file are erased" in done.stderr
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert left == [f"store/{DECOMMISSIONED_KEY}"]
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (again.returncode, "No such file" in again.stderr) == (2, True)


def test_a_new_file_is_not_erased_and_not_run(tmp_path: Path, site: Raw) -> None:
    decommission_unit(tmp_path, site)
    site["limits"]["supply_max_c"] = 41
    (tmp_path / "unit.json").write_text(json.dumps(site))
    with pytest.raises(ConfigError, match="another one and was left alone"):
        started_setpoint(tmp_path)
    assert (tmp_path / "unit.json").exists()
    (tmp_path / "store" / DECOMMISSIONED_KEY).unlink()
    assert started_setpoint(tmp_path) == 32


def test_paths_that_cannot_be_erased_are_reported(
    tmp_path: Path, site: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    decommission_unit(tmp_path, site)

    def refuse(path: str) -> None:
        raise PermissionError(13, "no", path)

    monkeypatch.setattr("os.remove", refuse)
    with pytest.raises(ConfigError, match=r"CANNOT be erased.*unit\.json"):
        started_setpoint(tmp_path)
    assert set((tmp_path / "unit.json").read_bytes()) == {0}  # overwritten anyway
