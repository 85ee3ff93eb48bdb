# SPDX-License-Identifier: Apache-2.0
"""Any bytes on any port: no exception but that of the protocol, bounded time, bounded memory.

The sample changes the captures with fixed seeds. The soak test is guided by coverage; it installs
its fuzzer itself.
"""

from __future__ import annotations

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
from tests.support.repository import ROOT

INPUTS = 120

FOUND: tuple[tuple[str, str], ...] = (
    ("config_cbor", "a1a1616101616201"),
    ("patch_changes", "a1a1616101616201"),
    ("patch_changes", "a1416101"),
    ("device_modem_rdss", "03244343434943412c302a372a0d0a"),
    ("device_modem_rdss_sealed", "0343435458412c31"),
    ("device_receiver_unicore", "03200a"),
    ("device_modem_rdss_sealed", "0343435458412c312c322c332c3478787a"),
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
    assert {"agent", "stored", "device", "modem"} <= places
    assert len(harnesses) >= 75


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
    """`COLDLOOP_FUZZ_RUNS`: inputs of a fast harness; 200,000 give 10 million in total."""
    runs = os.environ.get("COLDLOOP_FUZZ_RUNS", "20000")
    command = [sys.executable, "-m", "tests.fuzz.campaign", "--out", str(tmp_path), "--runs", runs]
    path = os.pathsep.join([str(atheris_folder), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [*command, "--group", group],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr[-2000:]
