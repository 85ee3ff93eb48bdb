# SPDX-License-Identifier: Apache-2.0
"""Provenance of a run: what was real, what was emulated, which time, which interpreter.

Does not collect the facts; see `hil.run.provenance_recorder`. The words of a verdict come from the
record only: "PASS, virtual time, 0 of 5 devices real". A verdict without them would say more than
was tested.
"""

from dataclasses import dataclass
from typing import Any

from hil.scenario.judge import FAIL, INCOMPLETE, MARGINAL, PASS
from hil.scenario.questions import count_unanswered

REAL, EMULATED, REPLAYED = "real", "emulated", "replayed"
VIRTUAL_TIME, REAL_TIME = "virtual", "real"
NOT_READ = "not read"
MATCHES = "matches its profile"
NO_IDENTIFICATION = "has no identification"
OTHER_MODEL = "is another model than its profile"
OUTPUT_PREFIX = "output "
"""First word of a finding on an output of a real device: its return after the test."""

VERDICT_TEXTS = {
    PASS: "PASS",
    MARGINAL: "PASS, MARGINAL",
    INCOMPLETE: "NOT COMPLETE",
    FAIL: "FAIL",
}


@dataclass(frozen=True)
class DeviceOrigin:
    """A device of the run.

    kind       real, emulated or replayed
    port       its port; that of the bench if it is emulated
    unit       unit id on a field bus, or None
    profile    register map by which the controller reads it, or ""
    identity   what the controller or the bench has read from it, or "not read"
    """

    name: str
    kind: str
    port: str
    unit: int | None
    profile: str
    identity: str


@dataclass(frozen=True)
class Provenance:
    """Facts of a run. `time`: virtual or real. `load`: the mean load of the machine (getloadavg
    over 1 min) at the start and at the end, and its number of CPUs.
    """

    time: str
    interpreter: str
    started_utc: str
    ended_utc: str
    load: dict[str, float]
    devices: tuple[DeviceOrigin, ...]


@dataclass(frozen=True)
class SerialCheck:
    """The serial number: as given by a person, as read from the CDU (None: not read), and whether
    the CDU that gave it is real.
    """

    given: str = ""
    read: str | None = None
    is_real: bool = False

    @property
    def state(self) -> str:
        """The result of the comparison in words."""
        if self.read is None:
            return "not checked: the CDU gives no serial number" if self.given else NOT_READ
        source = "the CDU" if self.is_real else "the emulated CDU"
        if not self.given:
            return f"read from {source}"
        relation = "equal to" if self.given == self.read else "not"
        return f"{relation} that of {source}, {self.read}"


def describe_verdict(record: dict[str, Any]) -> str:
    """Return the verdict of a record with its conditions, such as "PASS, virtual time, 0 of 5
    devices real".
    """
    conditions = _list_conditions(record["runs"])
    planned = len(record.get("planned", record["runs"]))
    if len(record["runs"]) < planned:
        conditions.insert(0, f"{len(record['runs'])} of {planned} scenarios run")
    serial = record.get("serial_check", {})
    if serial.get("given") and serial.get("read") is None:
        conditions.append("serial number not checked")
    return ", ".join([VERDICT_TEXTS[record["verdict"]], *conditions])


def describe_run_verdict(run: dict[str, Any]) -> str:
    """Return the verdict of one run of a record with its conditions."""
    return ", ".join([VERDICT_TEXTS[run["verdict"]], *_list_conditions([run])])


def _list_conditions(runs: list[dict[str, Any]]) -> list[str]:
    times = sorted({run["provenance"]["time"] for run in runs})
    conditions = [f"{' and '.join(times)} time"] if times else []
    devices = [device for run in runs for device in run["provenance"]["devices"]]
    names = list(dict.fromkeys(device["name"] for device in devices))
    real_names = _find_always(REAL, names, devices)
    replayed_count = sum(device["kind"] == REPLAYED for device in devices)
    conditions.append(f"{len(real_names)} of {len(names)} devices real")
    unproven = {
        device["name"]
        for device in devices
        if device["name"] in real_names and device["identity"] in (NOT_READ, OTHER_MODEL)
    }
    if unproven:
        conditions.append(f"{len(unproven)} of them not identified")
    if replayed_count:
        conditions.append(f"{replayed_count} replayed")
    findings = [finding for run in runs for finding in run.get("findings", ())]
    left = [f for f in findings if f["measure"].startswith(OUTPUT_PREFIX) and f["verdict"] == FAIL]
    if left:
        conditions.append(f"{len(left)} output{'s' if len(left) > 1 else ''} not back")
    missing = sum(count_unanswered(run["answers"]) for run in runs)
    if missing:
        conditions.append(f"{missing} question{'s' if missing > 1 else ''} not answered")
    return conditions


def _find_always(kind: str, names: list[str], devices: list[dict[str, Any]]) -> list[str]:
    """List the devices that are of this kind in each run."""
    return [
        name
        for name in names
        if all(device["kind"] == kind for device in devices if device["name"] == name)
    ]
