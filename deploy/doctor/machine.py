"""The machine as the doctor sees it: clock, disk, and the unit that runs the agent.

systemd is asked by its own commands; where they are missing, that is said and not held against the
machine: an agent may be run in other ways.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from agent.commands import STALE_AFTER_S, age_s
from agent.core.config_records import Config
from agent.telemetry.status import KEY
from deploy.doctor.finding import CheckResult, bad, good, warning
from drivers.ports.address import Address

UNIT = "coldloop.service"
EARLIEST_CLOCK_S = 1764547200  # 2025-12-01: a clock before that has not been set
_WATCHDOG_US = 10_000_000  # WatchdogSec= of the unit
_NAMED_NETWORKS = {"localhost": ("127.0.0.0/8", "::1/128"), "any": ("0.0.0.0/0", "::/0")}


def query_properties(*command: str) -> dict[str, str]:
    """What a command printed as NAME=VALUE lines; nothing where there is no such command."""
    if shutil.which(command[0]) is None:
        return {}
    try:
        completed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = (line.partition("=") for line in completed.stdout.splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}


def check_clock(now_s: float) -> CheckResult:
    """The system's clock: the agent has its own, but certificates and the journal use this one."""
    time_text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s))
    if now_s < EARLIEST_CLOCK_S:
        return bad("clock", f"{time_text}: not set", "set it: timedatectl set-time, or run chrony")
    state = query_properties("timedatectl", "show").get("NTPSynchronized", "")
    if state == "no":
        todo = "let chrony feed it from the receiver (docs/engineer/time.md) or from the net"
        return warning("clock", f"{time_text}: nothing keeps it right", todo)
    sync_text = "kept in step" if state == "yes" else "set; what keeps it right is not known"
    return good("clock", f"{time_text}: {sync_text}")


def unit_properties() -> dict[str, str]:
    """What systemd knows of the unit; nothing where it does not run or does not know it."""
    if not os.path.isdir("/run/systemd/system"):
        return {}
    names = "LoadState,ActiveState,UnitFileState,NRestarts,IPAddressAllow,IPAddressDeny"
    properties = query_properties("systemctl", "show", UNIT, f"--property={names}")
    return properties if properties.get("LoadState") == "loaded" else {}


def allowed_networks(properties: dict[str, str]) -> list[str] | None:
    """The networks that the unit lets through; None when it lets everything through."""
    if not properties.get("IPAddressDeny"):
        return None
    entries = properties.get("IPAddressAllow", "").split()
    return [net for entry in entries for net in _NAMED_NETWORKS.get(entry, (entry,))]


def check_service(properties: dict[str, str]) -> Iterator[CheckResult]:
    """Is the unit there, enabled, running and calm?"""
    if not properties:
        yield warning("service", "no unit here", "install the package, or start the agent yourself")
        return
    if properties.get("UnitFileState") not in ("enabled", "static"):
        yield warning("service", "does not start at boot", "systemctl enable coldloop")
    if properties.get("ActiveState") == "active":
        yield good("service", "running")
    else:
        state = properties.get("ActiveState", "unknown")
        yield bad("service", state, "systemctl start coldloop; then: journalctl -u coldloop -n 50")
    restarts = int(properties.get("NRestarts", "0") or 0)
    if restarts > 0:
        text = f"started again {restarts} times by systemd"
        yield warning("service", text, "journalctl -u coldloop -p warning")


def check_watchdog_time(config: Config) -> CheckResult | None:
    """A cycle that the unit's watchdog is too short for."""
    cycle = config.tick_us * config.ticks_per_cycle
    if 2 * cycle <= _WATCHDOG_US:
        return None
    text = f"a cycle of {cycle // 1000} ms; the unit's watchdog waits {_WATCHDOG_US // 1000} ms"
    return bad("watchdog", text, "systemctl edit coldloop: WatchdogSec= three cycles")


def check_status(address: Address | None) -> CheckResult | None:
    """What the agent last said of itself; None when it has said nothing."""
    if address is None:
        return warning("agent", "leaves no status behind", 'add "state": "store:/run/coldloop"')
    try:
        snapshot = json.loads((Path(address.path) / KEY).read_text(encoding="utf-8"))
        state, age = str(snapshot["state"]), age_s(snapshot)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not 0 <= age <= STALE_AFTER_S:
        return warning("agent", f"last heard of {age:g} s ago", "is it running? coldloop status")
    if state != "normal":
        return warning("agent", f"running, state {state}", "coldloop status names the alarms")
    return good("agent", "running, state normal")
