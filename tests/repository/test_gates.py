# SPDX-License-Identifier: Apache-2.0
"""Gates: checks that each file must pass.

Each tool runs once over the whole repository. The list of the files that must run on MicroPython is
in pyproject.toml, `[tool.coldloop]`.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

import coldloop
from deploy.errors import FirmwareError
from deploy.firmware.application.board_source import all_nodes
from deploy.firmware.application.romfs import compile_module, module_name
from deploy.firmware.build_tools import CACHE
from tests.support.programs import require_program
from tests.support.repository import (
    MICROPYTHON_OPTIONS,
    PACKAGES,
    ROOT,
    TEST_OPTIONS,
    compiled_flash,
    compiling_alone,
    find_tool,
    matches,
    micropython_environment,
    portable_files,
    project_settings,
    repo_files,
)

MODULES_PER_PROCESS = 24
"""Names of imported modules stay in the heap of a process of MicroPython."""
IMPORT_EACH = """
import gc, sys
failed = 0
for name in {modules}:
    for loaded in list(sys.modules):
        del sys.modules[loaded]
    gc.collect()
    try:
        __import__(name)
    except BaseException as error:
        failed += 1
        print(name + ":", repr(error))
sys.exit(1 if failed else 0)
"""

# In parts, so that this file does not contain the forbidden words.
FORBIDDEN = (
    "pypi." + "org",
    "files.python" + "hosted",
    "deb." + "debian.org",
    "security." + "debian.org",
    "registry." + "npmjs",
    "/work" + "/",
    "/root" + "/",
    "TO" + "DO",
    "FIX" + "ME",
)
# Verbatim copies of texts of others.
VERBATIM = ("LICENSE",)

PACKAGE_FILES = [
    name
    for name in repo_files()
    if name == "coldloop.py" or (name.endswith(".py") and name.split("/")[0] in PACKAGES)
]


def check_passes(*command: str, folder: Path = ROOT, **environment: str) -> None:
    """Run a tool in `folder`; a failure shows its output."""
    run = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        pytest.fail(f"{Path(command[0]).name}:\n{run.stdout}{run.stderr}", pytrace=False)


def test_the_portable_list_is_complete() -> None:
    portable = portable_files()
    for name in ("protocols/time_units.py", "drivers/errors.py", "agent/__init__.py"):
        assert name in portable
    assert "tests/portable/support/check.py" in portable
    left_out = [
        name for name in repo_files() if name.endswith(("/commands.py", "runtime/cpython.py"))
    ]
    assert not set(left_out) & set(portable)
    assert not [name for name in portable if "/cpython" in name]


def test_ruff_has_the_target_of_micropython_for_portable_files() -> None:
    targets = project_settings()["tool"]["ruff"]["per-file-target-version"]
    assert set(targets.values()) == {"py38"}
    missed = [name for name in portable_files() if not matches(name, list(targets))]
    assert not missed


def test_mpy_cross_compiles_each_portable_file() -> None:
    failures = []
    with compiling_alone():
        for name in portable_files():
            try:
                compile_module(name, CACHE / "mpy")  # a result of the same source is kept
            except FirmwareError as error:
                failures.append(f"{name}: {error}")
    all_nodes.cache_clear()  # each later garbage collection would visit them
    assert not failures, "\n".join(failures)


def importable_files() -> dict[tuple[str, ...], list[str]]:
    """Return the portable files to import, by the options of MicroPython."""
    board_only = project_settings()["tool"]["coldloop"]["board-only"]
    files: dict[tuple[str, ...], list[str]] = {}
    for name in portable_files():
        if name not in board_only and not name.endswith("__main__.py"):
            is_test = name.startswith("tests/")
            options = TEST_OPTIONS if is_test else MICROPYTHON_OPTIONS
            files.setdefault(options, []).append(name)
    return files


def import_alone(options: tuple[str, ...], modules: list[str]) -> str:
    """Import each module in a process of MicroPython without the modules before it.

    Return the failures, one line each. The process starts new after a failure of itself.
    """
    code = IMPORT_EACH.format(modules=modules)
    run = subprocess.run(
        [require_program("micropython"), *options, "-c", code],
        cwd=compiled_flash(),
        env=micropython_environment(compiled_flash()),
        capture_output=True,
        text=True,
        check=False,
    )
    if not run.returncode or len(modules) == 1:
        return run.stdout + (run.stderr if run.returncode else "")
    return "".join(import_alone(options, [module]) for module in modules)


def test_each_portable_module_imports_alone_on_micropython() -> None:
    failures = ""
    for options, names in importable_files().items():
        modules = [module_name(name) for name in names]
        for first in range(0, len(modules), MODULES_PER_PROCESS):
            failures += import_alone(options, modules[first : first + MODULES_PER_PROCESS])
    assert not failures, failures


def test_ruff_finds_nothing() -> None:
    check_passes(find_tool("ruff"), "check", "--quiet", "--output-format=concise", ".")


def test_ruff_would_format_nothing() -> None:
    check_passes(find_tool("ruff"), "format", "--check", "--quiet", "--output-format=concise", ".")


def test_mypy_finds_nothing() -> None:
    check_passes(find_tool("mypy"), "--no-error-summary")


def test_imports_point_down() -> None:
    check_passes(find_tool("lint-imports"), "--no-cache", "--no-logo")


@pytest.mark.parametrize("layer", ["agent", "drivers", "protocols"])
def test_each_module_has_a_place_in_the_order_of_its_layer(layer: str) -> None:
    contracts = project_settings()["tool"]["importlinter"]["contracts"]
    (groups,) = [c["layers"] for c in contracts if c["id"] == f"packages-of-{layer}"]
    packages = [name.strip() for group in groups for name in group.split(":")]
    for file in PACKAGE_FILES:
        module = module_name(file)
        if file.startswith(layer + "/") and not file.endswith("__init__.py"):
            assert [p for p in packages if (module + ".").startswith(p + ".")], (
                f"{module}: add it to packages-of-{layer} in pyproject.toml"
            )


def test_no_file_names_hosts_or_unfinished_work() -> None:
    result = []
    for name in repo_files():
        if name in VERBATIM:
            continue
        text = (ROOT / name).read_bytes().decode(errors="replace")
        result += [f"{name}: {word}" for word in FORBIDDEN if word in text]
    assert not result


def test_locks_pin_every_package_by_hash() -> None:
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    names = ["agent", "bench", "build", "dev", "northbound", "ops", "pypy", "relay"]
    assert [lock.stem for lock in locks] == names
    for lock in locks:
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text
        entries = text.replace("\\\n", "").splitlines()[1:]
        assert entries
        assert [
            entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry
        ] == []


def pinned_packages(name: str) -> set[str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return {line.split(" ")[0] for line in text.splitlines() if "==" in line}


def test_dev_lock_includes_the_other_locks() -> None:
    for name in ("agent", "bench", "ops", "build"):
        assert pinned_packages(name) <= pinned_packages("dev")


def test_the_version_is_the_same_everywhere() -> None:
    version = project_settings()["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    dated = re.findall(r"^## \[([\d.]+)\] - \d{4}-\d\d-\d\d$", changelog, re.M)
    assert dated[0] == version
    for name in ("Containerfile", "compose.yaml"):
        text = (ROOT / "deploy" / "container" / name).read_text(encoding="utf-8")
        assert re.findall(r"coldloop:(\d[\d.]*)", text) == [version], name


def test_extras_of_the_dispatcher_are_those_of_the_distribution() -> None:
    project = project_settings()["project"]
    assert [name.partition(">")[0] for name in project["dependencies"]] == ["pyserial"]
    assert set(coldloop.EXTRAS) <= set(project["optional-dependencies"])
    for extra, (commands, modules) in coldloop.EXTRAS.items():
        assert set(commands) <= set(coldloop.COMMANDS)
        text = " ".join(project["optional-dependencies"][extra])
        assert [module for module in modules if module not in text] == []
