# SPDX-License-Identifier: Apache-2.0
"""Calls of scontrol and squeue, and what they tell. Slurm 24.11 with its JSON output.

Does not decide; see `deploy.orchestrate.slurm.actuator`. An answer of another form than that of
Slurm is a SlurmError, never part of a state. scontrol needs about 15 ms a call, so changes of
several nodes are one call. SOURCE: scontrol(1), squeue(1) of 24.11.5.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from deploy.errors import DeployError

_T = TypeVar("_T")
_TIMEOUT_S = 20
_MAX_CHARS = 200
_WRONG_FORM = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)


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
    """A job. `licences`: count by name. `admin_comment`: of operators.

    `name`: what scontrol changes. A task of an array is 12_3, also if its number is that of the
    array: 12 alone would change all tasks.
    """

    number: int
    name: str
    states: frozenset[str]
    partition: str
    nodes: tuple[str, ...]
    licences: dict[str, int]
    admin_comment: str
    start_s: int


@dataclass(frozen=True, slots=True)
class SlurmLicence:
    """A licence: total, used by jobs, held by all reservations."""

    name: str
    total: int
    used: int
    reserved: int


@dataclass(frozen=True, slots=True)
class SlurmReservation:
    """A reservation: its licences; whether it has nodes, or is for licences only."""

    licences: dict[str, int]
    has_nodes: bool


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
        except OSError as error:
            raise SlurmError(f"{words[0]}: {error.strerror or error}") from None
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

    def _show(self, words: tuple[str, ...], key: str, parse: Callable[[Any], _T]) -> list[_T]:
        """Return the parsed entries of the list `key`. Raises SlurmError."""
        command_line, text = " ".join(words), self.call(*words, "--json")
        try:
            entries = json.loads(text)[key]
            if not isinstance(entries, list):
                raise SlurmError(f"{command_line}: {key} is not a list")
            return [parse(entry) for entry in entries]
        except _WRONG_FORM as error:
            raise SlurmError(
                f"{command_line}: not the form of Slurm: {error!r}"[:_MAX_CHARS]
            ) from None

    def nodes(self) -> dict[str, SlurmNode]:
        """Return all nodes."""
        found = self._show(("scontrol", "show", "nodes"), "nodes", _parse_node)
        return {node.name: node for node in found}

    def jobs(self, states: str = "RUNNING,SUSPENDED") -> list[SlurmJob]:
        """Return the jobs in these states."""
        words = ("squeue", f"--states={states}")
        found = self._show(words, "jobs", _parse_job)
        nodes = self._expand({text for _, text in found})
        return [replace(job, nodes=nodes[text]) for job, text in found]

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
        found = self._show(("scontrol", "show", "licenses"), "licenses", _parse_licence)
        return {licence.name: licence for licence in found}

    def reservations(self) -> dict[str, SlurmReservation]:
        """Return all reservations by their names."""
        words = ("scontrol", "show", "reservation")
        return dict(self._show(words, "reservations", _parse_reservation))

    def partition_states(self) -> dict[str, str]:
        """Return the state of each partition: UP, DOWN, DRAIN, INACTIVE."""
        return dict(self._show(("scontrol", "show", "partition"), "partitions", _parse_partition))


def _parse_node(entry: Any) -> SlurmNode:
    return SlurmNode(
        _text(entry["name"], is_needed=True),
        _states(entry["state"]),
        _text(entry.get("reason")),
        _text(entry.get("comment")),
        _count(entry.get("weight"), 1),
    )


def _parse_job(entry: Any) -> tuple[SlurmJob, str]:
    """Return a job without its nodes, and the host list of them."""
    number = _count(entry["job_id"])
    job = SlurmJob(
        number,
        _task_name(entry, number),
        _states(entry["job_state"]),
        _text(entry.get("partition")),
        (),
        parse_licences(_text(entry.get("licenses"))),
        _text(entry.get("admin_comment")),
        _count(entry.get("start_time")),
    )
    return job, _text(entry.get("nodes"))


def _task_name(entry: Any, number: int) -> str:
    """Return the name of a job for scontrol; see `SlurmJob`."""
    array, task = _count(entry.get("array_job_id")), _count(entry.get("array_task_id"), -1)
    is_task = array > 0 and task >= 0
    return f"{array}_{task}" if is_task else str(number)


def _parse_licence(entry: Any) -> SlurmLicence:
    name = _text(entry["LicenseName"], is_needed=True)
    counts = (_count(entry["Total"]), _count(entry["Used"]), _count(entry.get("Reserved")))
    return SlurmLicence(name, *counts)


def _parse_reservation(entry: Any) -> tuple[str, SlurmReservation]:
    has_nodes = _text(entry.get("node_list")) != "" or _count(entry.get("node_count")) > 0
    licences = parse_licences(_text(entry.get("licenses")))
    return _text(entry["name"], is_needed=True), SlurmReservation(licences, has_nodes)


def _parse_partition(entry: Any) -> tuple[str, str]:
    states = entry["partition"]["state"]
    if not isinstance(states, list):
        raise TypeError("state is not a list")
    return _text(entry["name"], is_needed=True), _text(states[0], is_needed=True)


def _text(value: Any, *, is_needed: bool = False) -> str:
    """Return a text; null is an empty one. Raises TypeError."""
    if value is None and not is_needed:
        return ""
    if not isinstance(value, str) or (is_needed and not value):
        raise TypeError(f"{value!r} is not a text")
    return value


def _states(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not value:
        raise TypeError(f"{value!r} is not a list of states")
    return frozenset(_text(state, is_needed=True) for state in value)


def _count(value: Any, default: int = 0) -> int:
    """Return a count: a number, or an object of it as later versions write. Raises TypeError."""
    if isinstance(value, dict):
        value = value["number"] if value.get("set", True) else None
    if value is None:
        return default
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r} is not a count")
    return value


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
