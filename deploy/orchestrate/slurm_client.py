# SPDX-License-Identifier: Apache-2.0
"""Calls of scontrol and squeue, and what they tell. Slurm 24.11 with its JSON output.

Does not decide; see `deploy.orchestrate.slurm`. scontrol needs about 15 ms a call, so changes of
several nodes are one call. SOURCE: scontrol(1), squeue(1) of 24.11.5.
"""

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deploy.errors import DeployError

_TIMEOUT_S = 20


class SlurmError(DeployError):
    """A call of scontrol or squeue has failed; the text is its message."""


@dataclass(frozen=True, slots=True)
class SlurmNode:
    """A node: its states as Slurm names them (IDLE, DRAIN, ...), reason, comment, weight."""

    name: str
    states: frozenset[str]
    reason: str
    comment: str
    weight: int


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """A job that has nodes. `licences`: count by name. `admin_comment`: of operators."""

    number: int
    states: frozenset[str]
    partition: str
    nodes: tuple[str, ...]
    licences: dict[str, int]
    admin_comment: str
    start_s: int


@dataclass(frozen=True, slots=True)
class SlurmLicence:
    """A licence: total, used by jobs."""

    name: str
    total: int
    used: int


class SlurmClient:
    """Calls in the cluster of `conf`; "": the default configuration of this machine."""

    def __init__(self, conf: str = "") -> None:
        self._environment = dict(os.environ, LC_ALL="C.UTF-8")
        if conf:
            self._environment["SLURM_CONF"] = conf
        self.changes = 0

    def call(self, *words: str) -> str:
        """Run a program; return its output. Raises SlurmError."""
        try:
            done = subprocess.run(
                words,
                env=self._environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
                check=False,
            )
        except FileNotFoundError:
            raise SlurmError(f"{words[0]}: not installed (Debian: slurm-client)") from None
        except subprocess.TimeoutExpired:
            raise SlurmError(f"{words[0]} {words[1]}: no answer in {_TIMEOUT_S} s") from None
        if done.returncode != 0:
            message = (done.stderr or done.stdout).strip().splitlines()
            raise SlurmError(f"{' '.join(words[:3])}: {message[-1] if message else 'failed'}")
        return done.stdout

    def control(self, *words: str) -> None:
        """Run `scontrol` with a change. Raises SlurmError."""
        self.changes += 1
        self.call("scontrol", *words)

    def _show(self, *words: str) -> Any:
        text = self.call(*words, "--json")
        try:
            return json.loads(text)
        except ValueError:
            raise SlurmError(f"{' '.join(words)}: the output is not JSON") from None

    def nodes(self) -> dict[str, SlurmNode]:
        """Return all nodes."""
        entries = self._show("scontrol", "show", "nodes")["nodes"]
        return {
            entry["name"]: SlurmNode(
                entry["name"],
                frozenset(entry["state"]),
                entry.get("reason") or "",
                entry.get("comment") or "",
                int(entry.get("weight") or 1),
            )
            for entry in entries
        }

    def jobs(self) -> list[SlurmJob]:
        """Return the running and suspended jobs."""
        entries = self._show("squeue", "--states=RUNNING,SUSPENDED")["jobs"]
        nodes = self._expand({entry.get("nodes") or "" for entry in entries})
        return [
            SlurmJob(
                int(entry["job_id"]),
                frozenset(entry["job_state"]),
                entry.get("partition") or "",
                nodes[entry.get("nodes") or ""],
                parse_licences(entry.get("licenses") or ""),
                entry.get("admin_comment") or "",
                int((entry.get("start_time") or {}).get("number") or 0),
            )
            for entry in entries
        ]

    def _expand(self, lists: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the node names of host lists such as n[1-4]."""
        return {
            text: tuple(self.call("scontrol", "show", "hostnames", text).split())
            if "[" in text or "," in text
            else ((text,) if text else ())
            for text in lists
        }

    def licences(self) -> dict[str, SlurmLicence]:
        """Return all licences."""
        entries = self._show("scontrol", "show", "licenses")["licenses"]
        return {
            entry["LicenseName"]: SlurmLicence(
                entry["LicenseName"], int(entry["Total"]), int(entry["Used"])
            )
            for entry in entries
        }

    def reservations(self) -> dict[str, dict[str, int]]:
        """Return the licences that each reservation holds, by its name."""
        entries = self._show("scontrol", "show", "reservation")["reservations"]
        return {entry["name"]: parse_licences(entry.get("licenses") or "") for entry in entries}

    def partition_states(self) -> dict[str, str]:
        """Return the state of each partition: UP, DOWN, DRAIN, INACTIVE."""
        entries = self._show("scontrol", "show", "partition")["partitions"]
        return {entry["name"]: entry["partition"]["state"][0] for entry in entries}


def parse_licences(text: str) -> dict[str, int]:
    """Parse `coolkw:20,matlab`; a licence without a number counts 1."""
    found: dict[str, int] = {}
    for part in text.replace("|", ",").split(","):
        name, _, count = part.strip().rpartition(":")
        if not name:
            name, count = count, "1"
        if name and count.isdecimal():
            found[name] = found.get(name, 0) + int(count)
    return found
