# SPDX-License-Identifier: Apache-2.0
"""The record of a suite: content, hash chain and signature, so that any later change is detected.

Does not judge; see `hil.scenario.judge`. A record is one JSON file. It holds the hash of the
firmware (the portable code), the configuration, text and hash of the scenarios, and the versions of
the bench. Each run has its provenance: real or emulated devices, time, interpreter, load
(`hil.record.provenance`). `previous` is the hash of the last record in the same folder. The key of
the bench signs the hash (Ed25519). The hash covers the record without `hash` and `signature`, as
JSON with sorted keys and without blanks.
"""

import functools
import hashlib
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from hil.io.regular_file import REPORT_BYTES, read_regular
from hil.io.strict_json import canonical_json, parse_strict, sha256
from hil.record.bench_key import BenchKey, is_valid_signature
from hil.record.provenance import SerialCheck, describe_verdict
from hil.scenario.channels import Series
from hil.scenario.judge import FAIL, INCOMPLETE, MARGINAL, PASS, ExpectationResult
from hil.scenario.model import Scenario
from hil.scenario.questions import Answer, count_unanswered, list_denials

FORMAT = "coldloop-record-2"
RECORD_FILE = "record.json"
_RUN_KEYS = {"scenario", "verdict", "findings", "answers", "provenance", "series", "channels"}
_ROOT = Path(__file__).resolve().parents[2]
_FIRMWARE = ("agent", "drivers", "protocols")

Record = dict[str, Any]


def firmware_hash() -> str:
    """Hash the code under test: file names and bytes of agent, drivers and protocols."""
    return _code_hash(_FIRMWARE, (".py", ".json"))


def bench_hash() -> str:
    """Hash the code under test and the bench with its scenarios."""
    return _code_hash((*_FIRMWARE, "hil"), (".py", ".json", ".toml"))


@functools.cache  # the code that runs is that of the start of the process
def _code_hash(packages: tuple[str, ...], suffixes: tuple[str, ...]) -> str:
    hasher = hashlib.sha256()
    for package in packages:
        for path in sorted((_ROOT / package).rglob("*")):
            if path.suffix in suffixes:
                hasher.update(path.relative_to(_ROOT).as_posix().encode() + b"\0")
                hasher.update(path.read_bytes() + b"\0")
    return hasher.hexdigest()


def read_versions() -> dict[str, str]:
    """Return the versions of bench, interpreter and operating system."""
    try:
        bench = metadata.version("coldloop")
    except metadata.PackageNotFoundError:
        bench = "not installed"
    return {"bench": bench, "python": platform.python_version(), "system": platform.platform()}


def build_run_record(
    scenario: Scenario,
    result: dict[str, Any],
    results: list[ExpectationResult],
    series: Series,
    console: list[str],
    config: dict[str, Any],
) -> Record:
    """Build the record of one run; `result` is the record of `hil run --json`."""
    channels = [asdict(channel) for channel in series.channels]
    return {
        **result,
        "title": scenario.title,
        "scenario_text": scenario.text,
        "scenario_sha256": sha256(scenario.text.encode()),
        "config_sha256": sha256(canonical_json(config)),
        "events": [asdict(event) for event in scenario.events],
        "findings": [asdict(entry) for entry in results],
        "console": console[-200:],
        "channels": channels,
        "series": {"at_s": series.at_s, **series.values},
    }


def judge_run(failures: Sequence[str], verdicts: list[str], answers: list[Answer]) -> str:
    """Return the verdict of a run from its failure lines, its results and its questions."""
    if failures or list_denials(answers):
        return FAIL
    return worst_verdict([*verdicts, *([INCOMPLETE] if count_unanswered(answers) else [])])


def worst_verdict(verdicts: list[str]) -> str:
    """Return the worst of several verdicts."""
    for verdict in (FAIL, INCOMPLETE, MARGINAL):
        if verdict in verdicts:
            return verdict
    return PASS


def build_suite_record(
    suite: str,
    title: str,
    runs: list[Record],
    planned: list[str],
    serial: SerialCheck,
    operator: str,
) -> Record:
    """Build the record of a suite from its runs, without chain and signature.

    `planned`: the names of all its scenarios. With fewer runs the verdict is not complete.
    """
    verdicts = [run["verdict"] for run in runs]
    record = {
        "format": FORMAT,
        "suite": suite,
        "title": title,
        "planned": planned,
        "serial": serial.given or serial.read or "",
        "serial_check": {**asdict(serial), "state": serial.state},
        "operator": operator,
        "ended_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "versions": read_versions(),
        "firmware_sha256": firmware_hash(),
        "bench_sha256": bench_hash(),
        "verdict": worst_verdict([*verdicts, *([INCOMPLETE] if len(runs) < len(planned) else [])]),
        "runs": runs,
    }
    return {**record, "verdict_text": describe_verdict(record)}


def seal(record: Record, previous: str, key: BenchKey) -> Record:
    """Add `previous`, hash and signature to a record."""
    body = {**record, "previous": previous, "key": key.public}
    digest = sha256(canonical_json(body))
    return {**body, "hash": digest, "signature": key.sign(digest)}


def find_problems(record: Record, key: str | None = None) -> list[str]:
    """List the problems of a record; `key` is the expected public key, if it is known.

    The files beside the record are covered by `hil.record.manifest`.
    """
    body = {k: v for k, v in record.items() if k not in ("hash", "signature")}
    messages = []
    if record.get("format") != FORMAT:
        messages.append(f"format is {record.get('format')!r}, not {FORMAT}")
    if sha256(canonical_json(body)) != record.get("hash"):
        messages.append("content and hash differ: the record was changed after it was written")
    if not is_valid_signature(
        str(record.get("key")), str(record.get("signature")), record.get("hash")
    ):
        messages.append("the signature does not match hash and key")
    if key is not None and record.get("key") != key:
        messages.append("signed with the key of another bench")
    if messages:
        return messages
    if not _has_form(record):
        return ["the form of the record is wrong"]
    changed_names = [
        run.get("scenario")
        for run in record.get("runs", [])
        if sha256(str(run.get("scenario_text")).encode()) != run.get("scenario_sha256")
    ]
    return [f"{name}: text and hash of the scenario differ" for name in changed_names]


def _has_form(record: Record) -> bool:
    """Return whether a record has the parts that the commands read."""
    runs = record.get("runs")
    return (
        isinstance(record.get("verdict_text"), str)
        and isinstance(runs, list)
        and all(isinstance(run, dict) and run.keys() >= _RUN_KEYS for run in runs)
    )


def read(path: Path) -> Record:
    """Read the file of a record: a regular file, no symbolic link. Raises BenchError."""
    return parse_strict(read_regular(path, REPORT_BYTES), path)
