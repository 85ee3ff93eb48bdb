# SPDX-License-Identifier: Apache-2.0
"""Help, completion and man pages from the data of the parsers; any locale; time of the help."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import coldloop
from coldloop import main
from drivers.tools.lib.command_group import CommandGroup
from drivers.tools.lib.command_spec import find_help, load_spec
from tests.support.cli_tools import COLDLOOP
from tests.support.programs import require_program

SPEC = load_spec()
NO_JSON = {
    "completion": "prints a script",
    "firmware emulate": "its output is the log of the image",
    "firmware run": "its output is the log of the image",
    "modbus profile": "its own subcommands have it",
    "northbound serve": "a service; its output is its log",
}
"""Commands without --json, and why."""
MOST_MODULES = 100
"""Modules that a help may import; Python itself starts with about 30."""
COMMANDS = [name for name, spec in SPEC.items() if "groups" in spec]


def cpu_s(command: list[str]) -> float:
    """Return the CPU time of a command, s."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def costs_at_most(factor: int, command: list[str]) -> bool:
    """Return whether a command costs at most `factor` starts of Python: the least of each counts.

    Both run in turn: the load of the machine changes between two series.
    """
    start_s = command_s = float("inf")
    for _ in range(20):
        start_s = min(start_s, cpu_s([sys.executable, "-c", "pass"]))
        command_s = min(command_s, cpu_s(command))
        if command_s <= factor * start_s:
            return True
    return False


def test_help_costs_little_more_than_the_start_of_python() -> None:
    assert costs_at_most(3, [*COLDLOOP, "--help"])
    for words in (("hil", "run"), ("hil", "campaign"), ("agent",), ("relay",), ("alarms",)):
        assert costs_at_most(8, [*COLDLOOP, *words, "--help"]), words


@pytest.mark.parametrize("name", ["", "agent", "hil", "hil run", "relay", "config push", "demo"])
def test_a_help_imports_few_modules(name: str) -> None:
    """A number that does not depend on the load of the machine."""
    command = [sys.executable, "-X", "importtime", *COLDLOOP[1:], *name.split(), "--help"]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stderr.count("import time:") <= MOST_MODULES
    assert not any(f" {layer}." in process.stderr for layer in ("hil", "agent", "deploy"))


def test_each_command_prints_json_for_programs() -> None:
    missing = {
        name
        for name in COMMANDS
        if not any("--json" in o["flags"] for g in SPEC[name]["groups"] for o in g["options"])
    }
    assert missing == set(NO_JSON)


@pytest.mark.soak
def test_no_help_costs_more_than_eight_starts_of_python() -> None:
    for name in SPEC:
        assert costs_at_most(8, [*COLDLOOP, *name.split(), "--help"]), name


@pytest.mark.parametrize("name", COMMANDS)
def test_each_help_names_each_option(name: str) -> None:
    text = find_help([*name.split(), "--help"])
    assert text.startswith("usage: coldloop")
    for group in SPEC[name]["groups"]:
        for option in group["options"]:
            assert all(flag in text for flag in option["flags"])


def test_a_blank_is_after_each_name_in_a_list_of_subcommands() -> None:
    tools = {"x": ("", "one"), "a-name-of-20-letters": ("", "two")}
    text = CommandGroup("group", tools, "x", ())._overview()
    assert "  a-name-of-20-letters  two\n" in text
    assert f"  x{21 * ' '}one\n" in text


def test_help_is_found_only_if_it_is_asked_for() -> None:
    assert find_help(["hil", "run", "smoke"]) == ""
    assert find_help(["hil", "run", "--", "--help"]) == ""
    assert find_help(["nothing", "--help"]) == ""
    assert "subcommands:" in find_help(["hil", "-h"])


def complete(words: str) -> list[str]:
    """Return what bash offers for the last word of a command line."""
    script = subprocess.run(
        [*COLDLOOP, "completion", "bash"], capture_output=True, text=True, check=True
    )
    line = words.split(" ")
    quoted = " ".join(f"'{word}'" for word in line)
    test = f"COMP_WORDS=({quoted}); COMP_CWORD={len(line) - 1}; _coldloop; "
    test += "printf '%s\\n' \"${COMPREPLY[@]}\""
    process = subprocess.run(
        ["bash", "-c", script.stdout + test], capture_output=True, text=True, check=True, cwd="/"
    )
    return process.stdout.split()


def test_bash_completes_commands_options_and_values() -> None:
    require_program("bash")
    assert set(complete("coldloop h")) == {"hil"}
    assert {"hazard", "hall"} == set(complete("coldloop hil ha"))
    assert "--real-time" in complete("coldloop hil run --rea")
    assert complete("coldloop hil run --dut mic") == ["micropython"]
    assert "--store" in complete("coldloop relay --st")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_of_other_shells_are_valid(shell: str, tmp_path: Path) -> None:
    script = subprocess.run(
        [*COLDLOOP, "completion", shell], capture_output=True, text=True, check=True
    )
    path = tmp_path / "script"
    path.write_text(script.stdout)
    assert all(name in script.stdout for name in coldloop.COMMANDS)
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(path)], check=True)


def test_man_pages_have_no_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "man", "--out", str(tmp_path)]) == 0
    pages = sorted(tmp_path.glob("*.1"))
    assert len(pages) == len(COMMANDS) + 1
    text = (tmp_path / "coldloop-hil-run.1").read_text()
    assert ".B \\-\\-real\\-time" in text
    if shutil.which("groff"):
        command = ["groff", "-Kutf8", "-man", "-Tutf8", "-ww", "-z", *map(str, pages)]
        process = subprocess.run(command, capture_output=True, text=True, check=True)
        assert process.stderr == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_output_in_any_encoding(encoding: str) -> None:
    """An output that has no °C replaces it; no command ends with a traceback."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0"}
    for words in (["hil", "words"], ["relay", "--help"], ["hil", "list", "--faults"], ["--help"]):
        process = subprocess.run(
            [*COLDLOOP, *words], capture_output=True, env=environment, check=False
        )
        assert process.returncode == 0, (words, process.stderr[-300:])
        assert process.stdout
