# SPDX-License-Identifier: Apache-2.0
"""The four DMTF validators with the OCP profiles: no failure in any state of the unit."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.deploy.northbound.redfish.judges import (
    run_interop_validator,
    run_protocol_validator,
    run_service_validator,
    run_use_cases,
    unpack_schemas,
)
from tests.deploy.northbound.redfish.service_bench import PASSWORD, ServiceBench, set_state

STATES = ("normal", "sensors_lost", "safe", "stopped", "clock_unknown", "no_record")
VALIDATOR_NETWORKS = ["192.168.1.0/24"]
"""The protocol validator subscribes an address of this network."""
DEPRECATED = ("LeakDetectors", "LeakDetection")
"""The OCP profile demands what the schema bundle 2026.1 marks as deprecated."""


def judge_contents(state: str, folder: Path, schemas: Path) -> list[str]:
    """Run the judges of properties and profiles; return their failures."""
    with ServiceBench(folder) as bench:
        set_state(bench, state)
        service = run_service_validator(bench.url, PASSWORD, schemas, folder / "service")
        profiles = run_interop_validator(bench.url, PASSWORD, folder / "interop")
    assert service.counts["PASS"] > 1000
    assert profiles.counts["PASS"] > 250
    unexpected = [w for w in service.warnings if not any(word in w for word in DEPRECATED)]
    return service.failures + profiles.failures + unexpected


def judge_protocol(state: str, folder: Path) -> list[str]:
    """Run the judges of the protocol and of use cases; they mostly wait."""
    with ServiceBench(folder, networks=VALIDATOR_NETWORKS) as bench:
        set_state(bench, state)
        protocol = run_protocol_validator(bench.url, PASSWORD, folder / "protocol")
        cases = run_use_cases(bench.url, PASSWORD, folder / "cases")
    assert protocol.counts["PASS"] > 300
    assert cases.counts["PASS"] > 20
    return protocol.failures + cases.failures


@pytest.mark.soak
def test_validators_find_no_failure_in_any_state(tmp_path: Path) -> None:
    schemas = unpack_schemas(tmp_path)
    jobs = {}
    with ThreadPoolExecutor(len(STATES)) as waiting, ThreadPoolExecutor(2) as working:
        for state in STATES:
            folders = [tmp_path / f"{state}-{kind}" for kind in ("contents", "protocol")]
            for folder in folders:
                folder.mkdir()
            jobs[f"{state}: protocol"] = waiting.submit(judge_protocol, state, folders[1])
            jobs[f"{state}: contents"] = working.submit(judge_contents, state, folders[0], schemas)
    failures = {name: job.result() for name, job in jobs.items()}
    assert failures == {name: [] for name in jobs}


def test_protocol_and_use_cases_without_data(tmp_path: Path) -> None:
    assert judge_protocol("sensors_lost", tmp_path) == []
