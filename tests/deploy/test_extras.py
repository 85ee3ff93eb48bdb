# SPDX-License-Identifier: Apache-2.0
"""Extras of the distribution: an environment with requirements/agent.txt alone runs the agent."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import coldloop
from deploy.firmware.application.romfs import module_name
from tests.support.cli_tools import check_one_line
from tests.support.repository import ROOT, repo_files

SENTENCES = "$GNZDA,000000.00,25,11,2026,00,00*79\r\n"
NEEDS = {name: extra for extra, (commands, _) in coldloop.EXTRAS.items() for name in commands}


def agent_packages() -> list[str]:
    lock = (ROOT / "requirements" / "agent.txt").read_text()
    return re.findall(r"^([\w-]+)==", lock, re.M)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with only the packages of agent.txt, copied from this environment."""
    home = tmp_path_factory.mktemp("agent") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    (site,) = home.glob("lib/python*/site-packages")
    for name in agent_packages():
        for file in importlib.metadata.distribution(name).files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), site / file)
    return home / "bin" / "python"


def run(python: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(python), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_agent_needs_pyserial_only() -> None:
    assert agent_packages() == ["pyserial"]


def test_every_module_below_the_bench_imports(python: Path) -> None:
    folders = ("protocols/", "drivers/", "agent/", "deploy/doctor/")
    names = [
        module_name(name)
        for name in repo_files()
        if name.startswith(folders) and name.endswith(".py") and "micropython" not in name
    ]
    assert len(names) > 200
    completed = run(python, "-c", f"for name in {names}: __import__(name)")
    assert completed.stderr == ""


def test_the_commands_of_a_controller_run(python: Path, tmp_path: Path) -> None:
    checked = run(
        python, "coldloop.py", "agent", "--check", "--config", "deploy/examples/unit.json"
    )
    assert (checked.returncode, checked.stdout) == (0, "deploy/examples/unit.json: good\n")
    status = run(python, "coldloop.py", "status", "--state", str(tmp_path))
    assert status.returncode == 2
    assert "check that the agent runs" in check_one_line(status.stderr)
    profile = run(python, "coldloop.py", "modbus", "profile", "show", "orv3_rpu")
    assert profile.returncode == 0
    assert "SupplyTemperatureCelsius" in profile.stdout
    capture = tmp_path / "capture.nmea"
    capture.write_text(SENTENCES)
    decoded = run(python, "coldloop.py", "nmea", "decode", str(capture))
    assert decoded.stderr == ""
    assert "2026-11-25" in decoded.stdout


@pytest.mark.parametrize("name", sorted(set(coldloop.COMMANDS) - set(NEEDS)))
def test_a_command_without_an_extra_starts(python: Path, name: str) -> None:
    assert run(python, "coldloop.py", name, "--help").returncode == 0


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_a_command_names_the_extra_that_it_needs(python: Path, name: str) -> None:
    assert run(python, "coldloop.py", name, "--help").returncode == 0
    completed = run(python, "coldloop.py", name, "--unknown")
    assert (completed.returncode, completed.stdout) == (2, "")
    extra = NEEDS[name]
    assert check_one_line(completed.stderr) == (
        f"coldloop {name}: needs the extra `{extra}`: pip install 'coldloop[{extra}]'"
    )


@pytest.mark.soak
def test_an_environment_from_the_registry(tmp_path: Path) -> None:
    """The wheel with agent.txt alone, then with the locks of each extra."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, check=True, cwd=ROOT, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    pip = [str(tmp_path / "venv/bin/pip"), "install", "--quiet"]
    command = str(tmp_path / "venv/bin/coldloop")

    def install(*names: str) -> None:
        locks = [word for name in names for word in ("-r", f"requirements/{name}.txt")]
        subprocess.run([*pip, "--require-hashes", *locks], check=True, cwd=ROOT)

    def starts(name: str) -> bool:
        completed = subprocess.run([command, name, "--unknown"], capture_output=True, check=False)
        return b"needs the extra" not in completed.stderr

    install("agent")
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    assert [name for name in coldloop.COMMANDS if not starts(name)] == [
        name for name in coldloop.COMMANDS if name in NEEDS
    ]
    install("agent", "ops")
    assert starts("config")
    assert not starts("hil")
    install("agent", "bench")
    assert [name for name in coldloop.COMMANDS if not starts(name)] == ["firmware"]


@pytest.mark.parametrize("works", [True, False])
def test_an_environment_of_another_checkout_is_never_cleared(tmp_path: Path, works: bool) -> None:
    """`.venv` is a link: `venv --clear` would follow it and empty the other checkout's one."""
    here, other = tmp_path / "here", tmp_path / "other" / ".venv"
    (here / "deploy").mkdir(parents=True)
    (here / "requirements").mkdir()
    (other / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "setup.sh", here / "deploy")
    for name in ("requirements/dev.txt", "pyproject.toml"):
        (here / name).write_text("")
    (other / "kept").write_text("")
    if works:
        (other / "bin" / "python").symlink_to(sys.executable)
    (here / ".venv").symlink_to(other)
    done = subprocess.run(
        ["sh", "deploy/setup.sh", "dev"], cwd=here, capture_output=True, text=True, check=False
    )
    assert done.returncode == (0 if works else 2), done.stderr
    assert (other / "kept").exists()
