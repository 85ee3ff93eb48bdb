# SPDX-License-Identifier: Apache-2.0
"""The command dispatcher: help, version, exit codes, one-line errors, guard against namesakes."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import coldloop
from tests.support.repository import ROOT, project_settings


def run(*arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own."""
    command = [sys.executable, str(ROOT / "coldloop.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def one_line(text: str) -> str:
    assert text.endswith("\n")
    assert text.count("\n") == 1
    return text


def test_help_lists_every_command() -> None:
    completed = run("--help")
    assert completed.returncode == 0
    for name, (_, text) in coldloop.COMMANDS.items():
        assert re.search(f"^  {name} +{re.escape(text)}$", completed.stdout, re.MULTILINE), name
    assert max(map(len, completed.stdout.splitlines())) <= 80


def test_help_imports_no_command() -> None:
    code = (
        "import sys, coldloop\n"
        "try: coldloop.main(['--help'])\n"
        "except SystemExit: pass\n"
        f"sys.exit(bool(set(sys.modules) & set({coldloop.PACKAGES!r})))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_list_of_scenarios_does_not_import_the_bench() -> None:
    code = (
        "import sys, coldloop\n"
        "coldloop.main(['hil', 'list'])\n"
        "own = [n for n in sys.modules if n.partition('.')[0] in coldloop.PACKAGES]\n"
        "print(len(own), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "smoke" in completed.stdout
    assert int(completed.stderr) <= 30


def test_version_of_the_distribution() -> None:
    version = project_settings()["project"]["version"]
    assert run("--version").stdout == f"coldloop {version} (pure Python)\n"


@pytest.mark.parametrize("words", [(), ("--frobnicate",), ("frobnicate",), ("",)])
def test_wrong_use_is_one_line_and_exit_2(words: tuple[str, ...]) -> None:
    completed = run(*words)
    assert completed.returncode == 2
    assert one_line(completed.stderr).startswith("coldloop: ")
    assert completed.stdout == ""


def test_misspelt_command_gets_a_suggestion() -> None:
    assert "did you mean 'demo'?" in run("dmeo").stderr
    assert "did you mean" not in run("xyzzy").stderr


@pytest.mark.parametrize("name", coldloop.COMMANDS)
def test_every_command_exists_with_help(name: str) -> None:
    module, function = coldloop.COMMANDS[name][0].split(":")
    assert callable(getattr(importlib.import_module(module), function))
    completed = run(name, "--help")
    assert completed.returncode == 0
    assert f"coldloop {name}" in completed.stdout


def command(monkeypatch: pytest.MonkeyPatch, body: object) -> int:
    """Return the exit code of `coldloop probe x y` if its function is `body`."""
    monkeypatch.setattr(sys.modules[__name__], "probe", body, raising=False)
    monkeypatch.setitem(coldloop.COMMANDS, "probe", (f"{__name__}:probe", "a probe"))
    return coldloop.main(["probe", "x", "y"])


@pytest.mark.parametrize("code", [0, 1, 2])
def test_command_gets_arguments_and_returns_exit_code(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    got: list[list[str]] = []
    assert command(monkeypatch, lambda argv: got.append(argv) or code) == code
    assert got == [["x", "y"]]


def test_ctrl_c_gives_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(argv: list[str]) -> int:
        raise KeyboardInterrupt

    assert command(monkeypatch, interrupted) == 130


def probe(body: str) -> str:
    """Return a program that runs a command with `body`."""
    return (
        "import sys, types, coldloop\n"
        "module = sys.modules['probe'] = types.ModuleType('probe')\n"
        "def talk(argv):\n"
        f"    {body}\n"
        "module.talk = talk\n"
        "coldloop.COMMANDS['probe'] = ('probe:talk', '')\n"
        "sys.exit(coldloop.main(['probe']))"
    )


@pytest.mark.parametrize("body", ["while True: print('x' * 1000)", "input(); print('x'); return 0"])
def test_a_closed_output_pipe_is_never_good(body: str) -> None:
    """Also if the output is still in the buffer at the end of the command."""
    code = probe(body)
    talker = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with talker:
        assert talker.stdin is not None
        assert talker.stdout is not None
        assert talker.stderr is not None
        if "while" in body:
            talker.stdout.read(10)
        talker.stdout.close()
        talker.stdin.write(b"\n")
        talker.stdin.close()
        assert talker.stderr.read() == b""
    assert talker.returncode == 130


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("write", ["print('x')", "sys.stdout.write('x')"])
def test_without_any_output_the_exit_code_is_the_result(write: str, code: int) -> None:
    words = shlex.join([sys.executable, "-c", probe(f"{write}; return {code}")])
    ended = subprocess.run(f"{words} >&-", check=False, shell=True, cwd=ROOT, capture_output=True)
    assert (ended.returncode, ended.stderr) == (code, b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_leads_nowhere(closed: str) -> None:
    """A command reads and writes all three, and no file of it gets their descriptors."""
    body = (
        "import os; a = sys.stdin.read(); print('x'); sys.stderr.write(''); sys.stdin.isatty(); "
        "f = os.open('/', 0); return 0 if f > 2 and a == '' else 1"
    )
    words = shlex.join([sys.executable, "-c", probe(body)])
    ended = subprocess.run(
        f"{words} </dev/null {closed}", check=False, shell=True, cwd=ROOT, capture_output=True
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("is_flushed", [False, True])
def test_an_output_that_takes_nothing_is_one_line(is_flushed: bool) -> None:
    """Also if the command itself flushes each line."""
    words = shlex.join([sys.executable, "-c", probe(f"print('x', flush={is_flushed}); return 0")])
    buffered = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ended = subprocess.run(
        f"{words} >/dev/full", check=False, shell=True, cwd=ROOT, capture_output=True, env=buffered
    )
    assert ended.returncode == 2
    assert ended.stderr == b"coldloop probe: output: No space left on device\n"


def test_missing_library_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(coldloop.COMMANDS, "probe", ("no_such_module:run", ""))
    assert coldloop.main(["probe"]) == 2
    assert "No module named 'no_such_module'" in one_line(capsys.readouterr().err)


def test_package_of_the_same_name_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "__init__.py").write_text("raise SystemExit('the wrong agent ran')\n")
    code = f"import sys; sys.path.append({str(ROOT)!r}); import coldloop; sys.exit(coldloop.main())"
    completed = subprocess.run(
        [sys.executable, "-c", code, "status"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 2
    assert f"'agent' would come from {tmp_path}" in one_line(completed.stderr)


def run_beside(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, files: dict[str, str]
) -> int:
    """Start `agent` beside an installed distribution with these files; return its exit code."""
    for path, text in {
        f"{name}-0.1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n",
        **files,
    }.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    return coldloop.main(["agent", "--schema"])


@pytest.mark.parametrize(
    "files",
    [
        {"other-0.1.0.dist-info/RECORD": "other.py,,\ndrivers/__init__.py,,\n"},
        {"other-0.1.0.dist-info/RECORD": '"drivers/a,b.py",,\n'},
        {"other-0.1.0.dist-info/RECORD": "drivers.cpython-313.so,,\n"},
        {"other-0.1.0.dist-info/top_level.txt": "other\ndrivers\n"},
        {"other.egg-info/PKG-INFO": "Name: other\n", "drivers.py": "",
         "other.egg-info/SOURCES.txt": "drivers.py\n"},
    ],
)  # fmt: skip
def test_agent_rejects_a_second_owner_of_a_package(
    files: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_beside(tmp_path, monkeypatch, "other", files) == 2
    assert "'drivers' is also shipped by other;" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("coldloop", "drivers/__init__.py,,\n"),
        ("drivers", "driversx/__init__.py,,\nx/drivers/a.py,,\ndrivers-0.1.0.dist-info/RECORD,,\n"),
        ("other", "drivers.libs/a.so,,\n"),
    ],
)
def test_agent_starts_beside_other_packages(
    name: str, record: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{name}-0.1.0.dist-info/RECORD": record}
    assert run_beside(tmp_path, monkeypatch, name, files) == 0
