# SPDX-License-Identifier: Apache-2.0
"""The four validators of the DMTF as judges of a Redfish service, offline.

Schemas (DSP8010 bundle 2026.1) and the three OCP profiles come from the data folder; both are
pinned by their hashes. The exit codes of the validators say nothing about failures, so the reports
are read.
"""

import hashlib
import html
import os
import re
import subprocess
import sys
import tarfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.data import data_folder

PROFILES = ("OCPCoolantDistributionUnit", "OCPLiquidCoolingBaseline", "OCPServiceBaseline")
PINS = {
    "csdl_2026_1.tar.xz": ("91c91f92e460e82bf85cfa2e7c4d09187122eb1c7919157e05c3fa89dbbd8ea9"),
    "OCPCoolantDistributionUnit.v1_0_0.json": (
        "4d102a505bd314421dfb5700d5ac77c3511a4306abd64d4e59c6b2e8279bb506"
    ),
    "OCPLiquidCoolingBaseline.v1_0_0.json": (
        "eaf9ddc2fc8de646f8830338377f769344770c3c1593f41c26bd02bbd33ab351"
    ),
    "OCPServiceBaseline.v1_0_0.json": (
        "429ba94a54cbad3345a3c484f64dbd9e0ce1fe97b2707793f066af0fd945f389"
    ),
}
_WORDS = ("PASS", "WARN", "FAIL", "SKIP", "NOT_TESTED")


@dataclass(frozen=True)
class Verdict:
    """Counts of a report, and the texts of its failures and warnings."""

    counts: Counter[str]
    failures: list[str]
    warnings: list[str]


def redfish_data() -> Path:
    """Return the folder with schemas and profiles; skip the calling test if it is missing."""
    folder = data_folder() / "redfish"
    if not folder.is_dir():
        pytest.skip(f"data missing: {folder}")
    for name, digest in PINS.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    return folder


def unpack_schemas(folder: Path) -> Path:
    """Unpack the schemas into a folder and return it."""
    with tarfile.open(redfish_data() / "csdl_2026_1.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "csdl"


def run_service_validator(url: str, password: str, schemas: Path, out: Path) -> Verdict:
    """Run the service validator: each property against its schema."""
    arguments = ["--authtype", "Session", "--schema_directory", str(schemas), "--skipschema"]
    _run("rf_service_validator", url, password, *arguments, "--logdir", str(out))
    return read_html(out)


def run_interop_validator(url: str, password: str, out: Path) -> Verdict:
    """Run the interop validator with the three profiles, which must lie in one folder."""
    profile = redfish_data() / f"{PROFILES[0]}.v1_0_0.json"
    _run("rf_interop_validator", url, password, "--logdir", str(out), str(profile),
         folder=redfish_data())  # fmt: skip
    return read_html(out)


def run_use_cases(url: str, password: str, out: Path) -> Verdict:
    """Run the use case checkers: accounts, queries, power, manager."""
    _run("rf_use_case_checkers", url, password, "--report-dir", str(out))
    return read_html(out)


def run_protocol_validator(url: str, password: str, out: Path) -> Verdict:
    """Run the protocol validator: methods, header fields, errors, sessions (DSP0266)."""
    _run("rf_protocol_validator", url, password, "--no-cert-check", "--avoid-http-redirect",
         "--report-type", "tsv", "--report-dir", str(out))  # fmt: skip
    (report,) = out.glob("*.tsv")
    rows = [line.split("\t") for line in report.read_text(encoding="utf-8").splitlines()[1:]]
    found = [next((field for field in row if field in _WORDS), "") for row in rows]
    failures = [
        " ".join(row)[:300] for row, word in zip(rows, found, strict=True) if word == "FAIL"
    ]
    warnings = [
        " ".join(row)[:300] for row, word in zip(rows, found, strict=True) if word == "WARN"
    ]
    return Verdict(Counter(found), failures, warnings)


def read_html(out: Path) -> Verdict:
    """Read the newest report in a folder: each verdict is a cell of its own."""
    report = max(out.rglob("*.html"))
    text = html.unescape(re.sub(r"<[^>]+>", "\t", report.read_text(encoding="utf-8")))
    cells = [cell.strip() for cell in re.split(r"[\t\n]+", text) if cell.strip()]
    counts: Counter[str] = Counter()
    failures, warnings = [], []
    for at, cell in enumerate(cells):
        if cell not in _WORDS:
            continue
        counts[cell] += 1
        around = " | ".join(cells[max(0, at - 4) : at + 2])[:300]
        if cell == "FAIL":
            failures.append(around)
        elif cell == "WARN":
            warnings.append(around)
    return Verdict(counts, failures, warnings)


def _run(
    program: str, url: str, password: str, *arguments: str, folder: Path | None = None
) -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    }
    command = [str(Path(sys.executable).with_name(program)), "-r", url, "-u", "admin"]
    done = subprocess.run(
        [*command, "-p", password, *arguments],
        capture_output=True, text=True, env=environment, cwd=folder, timeout=300, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
