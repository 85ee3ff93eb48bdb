# SPDX-License-Identifier: Apache-2.0
"""Any bytes on any port: no exception but that of the protocol, bounded time, bounded memory.

The sample changes the captures with fixed seeds. The soak test is guided by coverage; it installs
its fuzzer itself.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.all_harnesses import GROUPS, make_all
from tests.fuzz.harness import Harness, HarnessError, retained
from tests.fuzz.mutation import mutate
from tests.fuzz.ports import PORTS, counts_by_port, inputs_of, port_of
from tests.support.repository import ROOT

INPUTS = 120
TOTAL = 10_000_000

FOUND: tuple[tuple[str, str], ...] = (
    ("config_cbor", "a1a1616101616201"),
    ("patch_changes", "a1a1616101616201"),
    ("patch_changes", "a1416101"),
    ("device_modem_rdss", "03244343434943412c302a372a0d0a"),
    ("device_modem_rdss_sealed", "0343435458412c31"),
    ("device_receiver_unicore", "03200a"),
    ("device_modem_rdss_sealed", "0343435458412c312c322c332c3478787a"),
    ("device_modem_sbd", "0341542b53424457423db2300d"),
    ("device_receiver_unicore", "031d0a1d0a"),
    ("pair_state", "686973746f727920c2b2"),
    ("pair_state", b"supply 32000 ".hex() + "39" * 4000),
    ("modbus_table", "b2383b780a34303030313b79"),  # a superscript digit
    ("modbus_table", "373b796f3b7531363b31653939393939393939"),  # a scale of 10^99999999
)
"""Inputs (harness, hexadecimal) that have raised an exception once."""


@pytest.fixture(scope="module")
def harnesses() -> Iterator[dict[str, Harness]]:
    found = make_all()
    yield found
    for harness in found.values():
        harness.close()


def test_sample_of_every_harness(harnesses: dict[str, Harness]) -> None:
    for name, harness in harnesses.items():
        rng = random.Random(name)
        for seed in harness.seeds:
            harness.run(seed)
        for _ in range(INPUTS):
            data = mutate(rng.choice(harness.seeds), harness.seeds, rng)
            try:
                harness.run(data)
            except Exception as error:
                raise AssertionError(f"{name}: {data.hex()}") from error


def test_inputs_that_were_found(harnesses: dict[str, Harness]) -> None:
    for name, text in FOUND:
        harnesses[name].run(bytes.fromhex(text))


def test_every_port_has_a_harness(harnesses: dict[str, Harness]) -> None:
    """To the agent and to the emulated devices."""
    places = {name.split("_", 1)[0] for name in harnesses}
    assert {"agent", "stored", "device", "modem", "pair", "group", "server"} <= places
    assert len(harnesses) >= 95


def test_harness_finds_a_wrong_exception_and_a_growing_parser() -> None:
    kept: list[bytes] = []
    harness = Harness("kept", lambda: (kept.append, kept), (ValueError,), [b"x"])
    for i in range(511):
        harness.run(bytes((i & 255,)) * 1000)
    with pytest.raises(HarnessError, match="retained"):
        harness.run(b"y")
    assert retained(kept)[0] > 256 * 1000

    def fail(data: bytes) -> None:
        raise ValueError if data else KeyError

    harness = Harness("fail", lambda: (fail, None), (ValueError,), [b"x"])
    harness.run(b"z")
    with pytest.raises(KeyError):
        harness.run(b"")


def test_every_harness_has_a_port_and_every_port_a_harness(harnesses: dict[str, Harness]) -> None:
    inputs = inputs_of(harnesses, 1_000_000)
    assert sum(inputs.values()) >= 1_000_000
    assert set(counts_by_port(inputs)) == set(PORTS)
    with pytest.raises(KeyError):
        port_of("unknown")


def run_campaign(folder: Path, *options: str, path: str = "") -> dict[str, int]:
    """Run the campaign with `path` before PYTHONPATH; return the inputs of each port."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([path, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "tests.fuzz.campaign", "--out", str(folder), *options]
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    counts: dict[str, int] = json.loads((folder / "ports.json").read_text(encoding="utf-8"))
    return counts


@pytest.mark.soak
def test_ten_million_changed_inputs(tmp_path: Path) -> None:
    """Without coverage; 12 minutes of CPU time. At least 20,000 inputs at each port."""
    counts = run_campaign(tmp_path, "--plain", "--total", str(TOTAL))
    assert sum(counts.values()) >= TOTAL
    assert set(counts) == set(PORTS)
    assert min(counts.values()) >= 1000


@pytest.fixture(scope="module")
def atheris_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the extra `fuzz` into a folder of its own, not into the environment."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    folder = tmp_path_factory.mktemp("atheris")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
    command += ["--no-deps", "--target", str(folder), *extras["optional-dependencies"]["fuzz"]]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"atheris cannot be installed: {result.stderr[-200:]}")
    return folder


@pytest.mark.soak
@pytest.mark.parametrize("group", GROUPS)
def test_campaign_guided_by_coverage(tmp_path: Path, atheris_folder: Path, group: str) -> None:
    """`COLDLOOP_FUZZ_INPUTS`: inputs of all harnesses of a group."""
    total = os.environ.get("COLDLOOP_FUZZ_INPUTS", "200000")
    run_campaign(tmp_path, "--total", total, "--group", group, path=str(atheris_folder))
