# SPDX-License-Identifier: Apache-2.0
"""Checks of the machine: clock, disk, systemd unit of the agent.

The checks read the state of systemd with its commands. Without them the result is a warning: the
agent can also run without systemd.
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
from agent.telemetry.status import STATUS_FILE
from deploy.doctor.finding import CheckResult, bad, good, warning
from drivers.ports.address import Address

UNIT = "coldloop.service"
EARLIEST_CLOCK_S = 1764547200  # 2025-12-01; an earlier clock is not set
_WATCHDOG_US = 10_000_000  # WatchdogSec= of the unit file
_NAMED_NETWORKS = {"localhost": ("127.0.0.0/8", "::1/128"), "any": ("0.0.0.0/0", "::/0")}
"""Names of networks in a systemd unit, and their addresses."""


def query_properties(*command: str) -> dict[str, str]:
    """Return the NAME=VALUE lines of a command; empty if the command is missing."""
    if shutil.which(command[0]) is None:
        return {}
    try:
        completed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = (line.partition("=") for line in completed.stdout.splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}


def check_clock(now_s: float) -> CheckResult:
    """Check the system clock. Certificates and the journal use it; the agent has its own clock."""
    time_text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s))
    if now_s < EARLIEST_CLOCK_S:
        return bad(
            "clock", f"{time_text}: not set", "set it with timedatectl set-time, or run chrony"
        )
    state = query_properties("timedatectl", "show").get("NTPSynchronized", "")
    if state == "no":
        todo = "run chrony with the receiver (docs/engineer/time.md) or with network servers"
        return warning("clock", f"{time_text}: not synchronised", todo)
    sync_text = "synchronised" if state == "yes" else "set; its synchronisation is unknown"
    return good("clock", f"{time_text}: {sync_text}")


def unit_properties() -> dict[str, str]:
    """Return the properties of the unit; empty without systemd or without the unit."""
    if not os.path.isdir("/run/systemd/system"):
        return {}
    names = "LoadState,ActiveState,UnitFileState,NRestarts,IPAddressAllow,IPAddressDeny"
    properties = query_properties("systemctl", "show", UNIT, f"--property={names}")
    return properties if properties.get("LoadState") == "loaded" else {}


def allowed_networks(properties: dict[str, str]) -> list[str] | None:
    """Return the networks that the unit allows; None: all networks."""
    if not properties.get("IPAddressDeny"):
        return None
    entries = properties.get("IPAddressAllow", "").split()
    return [net for entry in entries for net in _NAMED_NETWORKS.get(entry, (entry,))]


def check_service(properties: dict[str, str]) -> Iterator[CheckResult]:
    """Check that the unit is installed, enabled, active and without restarts."""
    if not properties:
        yield warning(
            "service", "no systemd unit", "install the package, or start the agent manually"
        )
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
        text = f"restarted {restarts} times by systemd"
        yield warning("service", text, "journalctl -u coldloop -p warning")


def check_watchdog_time(config: Config) -> CheckResult | None:
    """Check that the watchdog time of the unit covers two control cycles."""
    cycle = config.tick_us * config.ticks_per_cycle
    if 2 * cycle <= _WATCHDOG_US:
        return None
    text = f"control cycle {cycle // 1000} ms; watchdog time of the unit {_WATCHDOG_US // 1000} ms"
    return bad("watchdog", text, "systemctl edit coldloop: set WatchdogSec= to three cycles")


def check_status(address: Address | None) -> CheckResult | None:
    """Check the last status of the agent; None if there is no status."""
    if address is None:
        return warning("agent", "writes no status", 'add "state": "store:/run/coldloop"')
    try:
        snapshot = json.loads((Path(address.path) / STATUS_FILE).read_text(encoding="utf-8"))
        state, age = str(snapshot["state"]), age_s(snapshot)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not 0 <= age <= STALE_AFTER_S:
        return warning("agent", f"last status {age:g} s ago", "check that it runs: coldloop status")
    if state != "normal":
        return warning("agent", f"running, state {state}", "coldloop status lists the alarms")
    return good("agent", "running, state normal")
