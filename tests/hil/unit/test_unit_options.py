# SPDX-License-Identifier: Apache-2.0
"""The options of `coldloop hil run --unit`: only `--real` reaches devices; the repeat line."""

import argparse
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hil.commands import hil
from hil.run.recorded import repeat_command
from hil.run.unit.unit_file import UnitFile
from hil.tools.commission.run_unit import repeat_unit_command
from hil.tools.run import configure
from tests.hil.unit.test_unit import write_site
from tests.portable.agent.config.test_roles import cdu_profile

_TWINS = (
    ["--real-time"],
    ["--dut", "qemu"],
    ["--capture", "capture"],
    ["--log", "log"],
    ["--seconds", "30"],
)
_REAL = (["--dut", "micropython"], ["--dut", "qemu"], ["--capture", "c"], ["--real", "cdu=tcp:a:1"])


@pytest.mark.parametrize("options", [*_TWINS, *(["--real", *words] for words in _REAL)])
def test_an_option_without_effect_is_refused_before_a_port_is_opened(
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_site(tmp_path, {"supply": {"sensor": "cdu"}}, cdu_profile())
    opened: list[str] = []

    @contextmanager
    def open_all(unit: UnitFile) -> Iterator[None]:
        opened.append(str(unit.path))
        yield

    module = "hil.tools.commission.run_unit"
    monkeypatch.setattr(f"{module}.returned_outputs", open_all)
    monkeypatch.setattr(f"{module}.record_until_interrupted", lambda *_: opened.append("run"))
    monkeypatch.setattr("hil.tools.run._print_run", lambda *_: None)
    try:
        code = hil(["run", "acceptance", "--unit", str(path), *options])
    except (TypeError, IndexError):
        code = 0  # it ran
    assert opened == []
    assert code == 2
    assert (options[0] if len(options) < 3 else options[1]) in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [["--seed", "3", "--dut", "micropython"], ["--real", "--seconds", "40"]],
    ids=["twins", "real"],
)
def test_the_line_that_repeats_a_unit_is_the_same_run(options: list[str]) -> None:
    command = ["coldloop", "hil", "run", "acceptance", "--unit", "a b/unit.json", *options]
    parser = argparse.ArgumentParser()
    configure(parser)
    assert shlex.split(repeat_unit_command(parser.parse_args(command[3:]))) == command


def test_the_line_that_repeats_a_scenario_has_its_real_devices() -> None:
    line = repeat_command("smoke", 1, "cpython", True, ["valve=serial:/dev/x y"])
    assert line.endswith("--real-time --real 'valve=serial:/dev/x y'")
