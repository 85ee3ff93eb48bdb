# SPDX-License-Identifier: Apache-2.0
"""Profiles of the site: found by the agent and the tools, before those of the package."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agent.commands import profiles, read_config
from agent.core.errors import ConfigError
from drivers.commands import modbus
from drivers.tools.lib.arguments import UsageError, raw_profile
from drivers.tools.lib.profile_folders import VARIABLE, profile_files, site_folders, use_folder
from tests.portable.agent.config.test_roles import all_roles, cdu_profile, one_device


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "one_cdu.json").write_text(json.dumps(cdu_profile()))
    raw: dict[str, Any] = one_device(all_roles())
    (tmp_path / "unit.json").write_text(json.dumps(raw))
    return tmp_path


def test_profiles_beside_the_configuration_are_found(site: Path) -> None:
    config = read_config(str(site / "unit.json"))
    assert config.devices[0].profile.model == "one_cdu"
    assert "one_cdu" not in profiles()


def test_a_folder_of_the_option_is_first(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = site / "other"
    other.mkdir()
    changed = {**cdu_profile(), "title": "changed"}
    (other / "one_cdu.json").write_text(json.dumps(changed))
    monkeypatch.setenv(VARIABLE, str(other))
    assert read_config(str(site / "unit.json")).devices[0].profile.title == "changed"
    use_folder(site / "profiles")
    assert site_folders()[0] == site / "profiles"


def test_the_site_has_priority_over_the_package(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = site / "profiles" / "orv3_rpu.json"
    path.write_text("{}")
    monkeypatch.setenv(VARIABLE, str(site / "profiles"))
    assert profile_files()["orv3_rpu"] == path


def test_an_unreadable_profile_stops_only_its_user(site: Path) -> None:
    (site / "profiles" / "broken.json").write_text("{")
    read_config(str(site / "unit.json"))
    (site / "profiles" / "one_cdu.json").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"one_cdu\.json: not JSON"):
        read_config(str(site / "unit.json"))


def test_the_option_of_the_tools(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "")
    folder = str(site / "profiles")
    assert modbus(["profile", "--profiles", folder, "check", "one_cdu"]) == 0
    assert "one_cdu: good" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        modbus(["scan", "tcp:127.0.0.1:1", "--profiles", str(site / "none")])
    assert ended.value.code == 2


@pytest.mark.parametrize("kind", ["FIFO", "device", "folder"])
def test_a_profile_that_is_no_file_is_an_error(
    site: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A FIFO would wait for ever, and /dev/zero has no end."""
    monkeypatch.setenv(VARIABLE, "")  # restored at the end
    path = site / "profiles" / "one_cdu.json"
    path.unlink()
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(ConfigError, match="not a regular file"):
        read_config(str(site / "unit.json"))
    use_folder(site / "profiles")
    with pytest.raises(UsageError, match="not a regular file"):
        raw_profile("one_cdu")
