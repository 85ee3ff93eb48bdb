# SPDX-License-Identifier: Apache-2.0
"""Erasure of a decommissioned unit: what is erased, and what is left."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.remote import decommission
from agent.remote.message import canonical
from agent.remote.storage import config_slots
from agent.remote.update.boot import DECOMMISSIONED_KEY
from protocols import cbor


def write_unit(folder: Path, key: str, site_file: bytes = b"") -> dict[str, Any]:
    """Write a store with records, a private key and the site file; return the configuration."""
    store = folder / "store"
    store.mkdir(exist_ok=True)
    (store / DECOMMISSIONED_KEY).write_bytes(
        config_slots.with_hash(cbor.encode(["s/u", 1, 2, b"", site_file]))
    )
    (store / "audit.0").write_bytes(b"who did what")
    (folder / "log").mkdir(exist_ok=True)
    (folder / "log" / "log.0").write_bytes(b"rows")
    (folder / key).write_text("a private key")
    (folder / "unit.json").write_text("{}")
    broker = f"tls:h:1?ca=/ca.pem&cert=/c.pem&key={folder}/{key}"
    return {
        "remote": {"port": f"store:{store}"},
        "parts": [
            {"state": f"store:{folder}/log"},
            {"broker": broker},
        ],
    }


def reader(folder: Path) -> Callable[[str], bytes]:
    return lambda key: (folder / "store" / key).read_bytes()


def reader_or_none(folder: Path) -> Callable[[str], bytes | None]:
    def read(key: str) -> bytes | None:
        path = folder / "store" / key
        return path.read_bytes() if path.exists() else None

    return read


def files_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("number", [0, 1])
def test_keys_of_the_file_and_of_a_stored_configuration_are_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    stored = canonical.encode_config(write_unit(tmp_path, "stored.key"))
    raw = write_unit(tmp_path, "file.key")
    slots = SimpleNamespace(site_file_hash=b"x")
    monkeypatch.setattr(config_slots, "load_slots", lambda **_: slots)
    monkeypatch.setattr(config_slots, "read_config", lambda n, _: stored if n == number else None)
    text = decommission.erase_unit(str(tmp_path / "unit.json"), raw, reader(tmp_path))
    assert text == "decommissioned: its records, keys and this file are erased"
    assert files_in(tmp_path) == [f"store/{DECOMMISSIONED_KEY}"]


def test_the_stored_configuration_is_found_by_the_records(tmp_path: Path) -> None:
    """With the record of the unit as it is in its store, and without it."""
    stored = canonical.encode_config(write_unit(tmp_path, "stored.key"))
    slots = config_slots.ConfigSlots(b"hash of a file")
    writes = [*slots.start_trial(1, 60, [], stored), slots.confirm()]
    for name, data in dict(writes).items():
        (tmp_path / "store" / name).write_bytes(data)
    raw = write_unit(tmp_path, "file.key")
    decommission.erase_unit(str(tmp_path / "unit.json"), raw, reader_or_none(tmp_path))
    assert files_in(tmp_path) == [f"store/{DECOMMISSIONED_KEY}"]


def test_without_a_stored_configuration_the_file_names_what_is_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = write_unit(tmp_path, "file.key")
    (tmp_path / "other.key").write_text("of another unit")
    slots = SimpleNamespace(site_file_hash=b"")
    monkeypatch.setattr(config_slots, "load_slots", lambda **_: slots)
    decommission.erase_unit(str(tmp_path / "unit.json"), raw, reader(tmp_path))
    assert files_in(tmp_path) == ["other.key", f"store/{DECOMMISSIONED_KEY}"]


def test_what_cannot_be_erased_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = write_unit(tmp_path, "file.key")
    monkeypatch.setattr(decommission, "erase_file", lambda path: [path])
    text = decommission.erase_unit(str(tmp_path / "unit.json"), raw, reader_or_none(tmp_path))
    names = f"{tmp_path}/file.key {tmp_path}/unit.json"
    assert text.endswith(f"; CANNOT be erased, do it by hand: {names}")


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    raw = write_unit(tmp_path, "file.key", b"\1" * 32)
    before = files_in(tmp_path)
    text = decommission.erase_unit(str(tmp_path / "unit.json"), raw, reader(tmp_path))
    assert "was left alone" in text
    assert files_in(tmp_path) == before
