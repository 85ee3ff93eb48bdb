# SPDX-License-Identifier: Apache-2.0
"""The four DMTF validators with the OCP profiles: no failure in any state of the unit."""

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


def test_protocol_and_use_cases_without_data(tmp_path: Path) -> None:
    with ServiceBench(tmp_path, networks=VALIDATOR_NETWORKS) as bench:
        set_state(bench, "sensors_lost")
        protocol = run_protocol_validator(bench.url, PASSWORD, tmp_path / "protocol")
        assert protocol.failures == []
        assert protocol.counts["PASS"] > 300
        cases = run_use_cases(bench.url, PASSWORD, tmp_path / "cases")
        assert cases.failures == []
        assert cases.counts["PASS"] > 20


@pytest.mark.soak
@pytest.mark.parametrize("state", STATES)
def test_validators_find_no_failure(state: str, tmp_path: Path) -> None:
    schemas = unpack_schemas(tmp_path)
    with ServiceBench(tmp_path, networks=VALIDATOR_NETWORKS) as bench:
        set_state(bench, state)
        service = run_service_validator(bench.url, PASSWORD, schemas, tmp_path / "service")
        assert service.failures == []
        assert service.counts["PASS"] > 1000
        assert all(any(word in text for word in DEPRECATED) for text in service.warnings)
        profiles = run_interop_validator(bench.url, PASSWORD, tmp_path / "interop")
        assert profiles.failures == []
        assert profiles.counts["PASS"] > 250
        protocol = run_protocol_validator(bench.url, PASSWORD, tmp_path / "protocol")
        assert protocol.failures == []
        assert protocol.counts["PASS"] > 300
        cases = run_use_cases(bench.url, PASSWORD, tmp_path / "cases")
        assert cases.failures == []
        assert cases.counts["PASS"] > 20
