# SPDX-License-Identifier: Apache-2.0
"""Repository: its files and the list of portable files, for the gates and the collector.

The list stands in pyproject.toml, `[tool.coldloop]`.
"""

import contextlib
import fcntl
import fnmatch
import functools
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.firmware.application.board_source import all_nodes
from deploy.firmware.application.romfs import compile_module, is_empty
from deploy.firmware.build_tools import CACHE

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "deploy", "drivers", "hil", "protocols")

# 256 K machine words: as many objects as 256 KiB hold on a 32-bit board. The agent in lock-step has
# this heap.
MICROPYTHON_OPTIONS = ("-X", "heapsize=256wK")
TEST_OPTIONS = ("-X", "heapsize=8M")
"""Tests hold several agents and their output. With a large heap the runner collects no garbage
every 32 KiB, which takes three quarters of the computing time in a small one."""

REALTIME = (
    "tests/oracle/satcom/test_imt_client.py",
    "tests/hil/page/test_page.py",
    "tests/hil/run/test_real_time.py",
    "tests/cli/test_agent_command.py",
    "tests/deploy/northbound/process/test_isolation.py",
    "tests/hil/test_demo.py",
    "tests/oracle/modbus/test_modbus_command.py",
    "tests/oracle/modbus/test_modbus_shared_line.py",
    "tests/drivers/test_time_ports.py",
    "tests/oracle/test_bench.py",
    "tests/cli/test_link_command.py",
    "tests/oracle/gnss/test_receiver_gpsd.py",
    "tests/hil/bench/test_device_swap.py",
    "tests/deploy/orchestrate/test_slurm.py",
    "tests/drivers/test_bus_over_pty.py",
)
"""Files with tests that wait for wall time, the longest first."""

REALTIME_PARTS = (
    "tests/hil/unit/test_returned_outputs.py",
    "tests/agent/clock/test_clock_serve.py",
    "tests/deploy/ops/test_first_change.py",
    "tests/deploy/firmware/test_firmware_update.py",
    "tests/deploy/northbound/process/test_launcher.py",
    "tests/deploy/northbound/process/test_latency.py",
    "tests/hil/unit/test_commission.py",
    "tests/agent/clock/test_calibrate.py",
    "tests/oracle/gnss/test_ubxtool.py",
)
"""Files of which some tests, with the mark `realtime`, wait for wall time."""

WAITING = (
    "tests/deploy/northbound/bacnet/test_bacnet_device.py",
    "tests/deploy/northbound/process/test_read_only.py",
    "tests/deploy/ops/test_config_command.py",
    "tests/deploy/northbound/bacnet/test_every_object.py",
    "tests/deploy/northbound/http/test_http_server.py",
    "tests/deploy/northbound/redfish/test_validators.py",
    "tests/deploy/northbound/snmp/test_liveness.py",
    "tests/cli/test_modbus_tools.py",
    "tests/deploy/ops/test_signed_reports.py",
    "tests/deploy/relay/test_datagram_relay.py",
    "tests/deploy/northbound/bacnet/test_request_check.py",
    "tests/deploy/northbound/bacnet/test_bacnet_hostile.py",
    "tests/deploy/relay/stores/test_stores.py",
    "tests/oracle/test_mqtt_broker.py",
    "tests/deploy/northbound/http/test_certificate_files.py",
    "tests/deploy/ops/test_rollout_resume.py",
    "tests/deploy/relay/test_dashboards.py",
    "tests/deploy/relay/test_late_start.py",
    "tests/deploy/northbound/bacnet/test_bacnet_peers.py",
    "tests/deploy/ops/test_config_procedures.py",
    "tests/deploy/northbound/http/test_page_rule.py",
    "tests/deploy/northbound/http/test_discovery.py",
    "tests/deploy/northbound/http/test_grafana.py",
    "tests/oracle/modbus/test_libmodbus_unit_test.py",
    "tests/oracle/modbus/test_modbus_wires.py",
    "tests/cli/test_nmea_setup.py",
    "tests/deploy/relay/stores/test_store_faults.py",
    "tests/oracle/test_devices.py",
    "tests/cli/test_modbus_read_write.py",
    "tests/oracle/modbus/test_modbus_pcapng.py",
)
"""Files whose tests wait for other programs most of their time, the longest first. They use little
of a core, and nothing in them depends on the moment of a tick."""


@functools.cache
def project_settings() -> dict[str, Any]:
    """Read pyproject.toml once."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@functools.cache
def repo_files() -> tuple[str, ...]:
    """Return all files that are or would be committed, as paths from the root, sorted."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listing.returncode == 0:
        names = set(listing.stdout.decode().split("\0")) - {""}
    else:  # an unpacked archive has no index
        hidden = (".venv", ".git", "__pycache__")
        result = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        names = {path.as_posix() for path in result if not set(path.parts) & set(hidden)}
    return tuple(sorted(name for name in names if (ROOT / name).is_file()))


def matches(name: str, patterns: list[str]) -> bool:
    """Return whether the last pattern that matches `name` includes it; `!` excludes it.

    The patterns are those of `fnmatch`: a `*` also matches slashes.
    """
    is_included = False
    for pattern in patterns:
        if fnmatch.fnmatchcase(name, pattern.lstrip("!")):
            is_included = not pattern.startswith("!")
    return is_included


@functools.cache
def portable_files() -> tuple[str, ...]:
    """Return the Python files that must run on MicroPython, as paths from the root, sorted."""
    patterns = project_settings()["tool"]["coldloop"]["portable"]
    return tuple(n for n in repo_files() if n.endswith(".py") and matches(n, patterns))


def find_tool(name: str) -> str:
    """Return the path of a program of this environment, or of this machine."""
    sibling = Path(sys.executable).parent / name
    path = str(sibling) if sibling.exists() else shutil.which(name)
    assert path, f"{name} is missing; `make dev` installs it"
    return path


def micropython_environment(folder: Path = ROOT) -> dict[str, str]:
    """Return the variables: MicroPython imports from `folder` and its own modules only."""
    return {"MICROPYPATH": f"{folder}:.frozen", "PATH": "/usr/bin:/bin"}


def compile_to(folder: Path, names: list[str]) -> None:
    """Fill `folder` with `names` and their packages, precompiled as for a board."""
    packages = {str(parent) for n in names for parent in Path(n).parents if parent.name}
    inits = [f"{package}/__init__.py" for package in sorted(packages)]
    for name in sorted({*names, *inits}):
        if not (ROOT / name).exists() or is_empty(name):
            continue
        compiled, target = compile_module(name, CACHE / "mpy"), (folder / name).with_suffix(".mpy")
        if target.exists() and target.read_bytes() == compiled:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(f".{os.getpid()}")  # another worker can write the same file
        temporary.write_bytes(compiled)
        temporary.rename(target)
    all_nodes.cache_clear()  # each later garbage collection would visit them


SUPERVISOR = tuple(
    f"deploy/firmware/supervisor/_{name}.py"
    for name in (
        "backup",
        "files",
        "failures",
        "recovery",
        "slots",
        "journal",
        "supervisor",
        "unit_file",
        "unit_key",
    )
)
"""Frozen into an image, so they are not in the portable list; their tests need them."""


@contextlib.contextmanager
def compiling_alone() -> Iterator[None]:
    """Let one process precompile all portable files. The others wait, and use what it has kept."""
    folder = ROOT / ".pytest_cache"
    folder.mkdir(exist_ok=True)
    with (folder / "flash.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.cache
def compiled_flash() -> Path:
    """Return a flash of a board as a folder: precompiled portable files, tests, and profiles.

    A board needs heap to compile sources, but not to import .mpy files. One process fills the
    folder, the others wait.
    """
    folder = ROOT / ".pytest_cache" / "flash"
    folder.mkdir(parents=True, exist_ok=True)
    with compiling_alone():
        compile_to(folder, [*portable_files(), *SUPERVISOR])
        profiles = folder / "drivers" / "profiles"
        profiles.mkdir(exist_ok=True)
        for source in (ROOT / "drivers" / "profiles").glob("*.json"):
            shutil.copyfile(source, profiles / source.name)
    return folder
