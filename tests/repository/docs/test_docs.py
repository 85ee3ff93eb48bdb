# SPDX-License-Identifier: Apache-2.0
"""Documents: the site builds without a warning, and generated pages are current."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.clock.leap_second import UNCERTAIN_FOR
from agent.power.load_class import CLASSES
from hil.bench.device_fleet import LINE_UNITS, TCP_UNITS
from protocols.time_units import SECOND
from tests.support.repository import PACKAGES, ROOT, repo_files

DOCS = [name for name in repo_files() if name.startswith("docs/") and name.endswith(".md")]
FOLDERS = ("start", "technician", "operator", "engineer", "reference", "project")
MOST = 15  # pages in a folder


def run(*arguments: str) -> None:
    """Run Python with `words`; a failure shows its output."""
    command = [sys.executable, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)


def build_site(folder: Path, builder: str, *pages: str) -> None:
    """Read the documents, unless `folder` has them already, and write pages, or all."""
    arguments = ["--quiet", "--keep-going", "--builder", builder]
    if not pages:  # one page alone has no whole search index, which is a warning
        arguments.append("--fail-on-warning")
    places = ["-c", "docs", "-d", str(folder / "trees"), ".", str(folder / builder)]
    run("-m", "sphinx", *arguments, *places, *pages)


def test_each_link_has_a_target_and_the_site_builds(tmp_path: Path) -> None:
    """A link to a missing page, heading or file is an error.

    All pages as HTML take four seconds more and find no other error in a link.
    """
    build_site(tmp_path, "dummy")
    build_site(tmp_path, "html", "docs/index.md")
    page = (tmp_path / "html" / "docs" / "index.html").read_text(encoding="utf-8")
    assert '<pre class="mermaid">' in page
    assert 'placeholder="Search"' in page
    outside = [line for line in page.splitlines() if 'src="http' in line or "@import" in line]
    assert outside == [], "the site must work without a network"


@pytest.mark.soak
def test_all_pages_of_the_site_build(tmp_path: Path) -> None:
    build_site(tmp_path, "html")


def test_generated_pages_match_the_code() -> None:
    run("docs/tools/reference.py", "--check")


def test_documents_are_easy_to_read() -> None:
    run("docs/tools/readability.py", "--check")


def test_the_tree_of_the_architecture_has_each_package() -> None:
    tree = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("- **Imports")[0]
    packages = {
        f"{name.split('/')[1]}/"
        for name in repo_files()
        if name.endswith("/__init__.py") and name.split("/")[0] in PACKAGES and name.count("/") > 1
    }
    assert sorted(package for package in packages if package not in tree) == []


def test_the_files_in_the_architecture_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:agent|deploy|docs|drivers|hil|protocols|tests)/[\w./]*)`", text)
    assert [path for path in paths if "NAME" not in path and not (ROOT / path).exists()] == []


def test_the_definitions_in_the_architecture_exist() -> None:
    """Forms: `path`, `Class.method`; `path` `A`; `path` (`A`, `B`); `A`, `B` in `path`; `A` of
    `path`; in `path` the object, `A` and `B`."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    names = "((?:`[A-Za-z_.]+`(?:, | and | or )?)+)"
    path = r"`([\w./]+/[\w.@-]+\.(?:py|toml|js|service))`"
    found = re.findall(rf"{path},? {names}", text) + re.findall(rf"{path} \({names}", text)
    found += [pair[::-1] for pair in re.findall(rf"{names} (?:in|of) {path}", text)]
    found += re.findall(rf"\bin {path} the ([^;.|]*)", text)
    assert len(found) > 100
    missing = []
    for file, listed in found:
        source = (ROOT / file).read_text(encoding="utf-8")
        for name in re.findall("`([^`]+)`", listed):
            if "/" not in name and not name.endswith((".py", ".toml", ".js", ".css", ".html")):
                parts = name.split(".")
                missing += [(file, p) for p in parts if not re.search(rf"\b{p}\b", source)]
    assert missing == []


def test_the_wait_for_the_leap_seconds_is_that_of_the_code() -> None:
    wait = f"{UNCERTAIN_FOR // (60 * SECOND)} minutes"
    for name in ("README.md", "docs/engineer/time.md", "docs/technician/troubleshoot.md"):
        assert wait in (ROOT / name).read_text(encoding="utf-8"), name


def test_the_number_of_models_is_that_of_the_profiles() -> None:
    """Both pages have hand-written lists."""
    models = {Path(n).stem for n in repo_files() if re.fullmatch(r"drivers/profiles/\w+\.json", n)}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"works with (\d+) models", readme) == [str(len(models))]
    page = (ROOT / "docs/engineer/emulated_devices.md").read_text(encoding="utf-8")
    table = page[page.index("| Name | Device |") : page.index("Pumps, valves and CDUs act")]
    assert sorted(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == sorted(models)


def test_the_tables_of_the_fleet_are_those_of_the_code() -> None:
    page = (ROOT / "docs/engineer/emulated_devices.md").read_text(encoding="utf-8")
    table = page[page.index("| bus8 | unit |") : page.index("The fleet has its own plants")]
    rows = re.findall(r"`(\w+)` \| (\d+)", table)
    assert sorted(rows) == sorted((n, str(u)) for n, u in (LINE_UNITS | TCP_UNITS).items())
    words = {4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten"}
    assert f"{words[len(LINE_UNITS)]} models) and `modbus_tcp`" in page
    assert f"the other {words[len(TCP_UNITS)]})" in page


def test_the_derating_curves_are_those_of_the_code() -> None:
    text = (ROOT / "docs/engineer/power.md").read_text(encoding="utf-8")
    for name, limit_c, rise_k, curve in CLASSES:
        points = ", ".join(f"{celsius}: {percent}" for celsius, percent in curve)
        if all(percent == 100 for _, percent in curve):
            points = "none: cannot be limited"
        assert f"| {name} | {limit_c} | {rise_k} K | {points} |" in text


@pytest.mark.parametrize("name", DOCS)
def test_a_page_names_its_readers(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert [line for line in lines[1:4] if line.startswith("For ")]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_has_few_pages(folder: str) -> None:
    assert 0 < len([n for n in DOCS if n.startswith(f"docs/{folder}/")]) <= MOST


def _is_defined(dotted: str) -> bool:
    """Return whether a dotted name is a module, or names that a module has."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        folder = ROOT.joinpath(*parts[:count])
        for file in (folder.with_suffix(".py"), folder / "__init__.py"):
            if file.exists():
                text = file.read_text(encoding="utf-8")
                return all(re.search(rf"\b{name}\b", text) for name in parts[count:])
    return False


def test_the_references_in_sources_exist() -> None:
    """Each `package.module.name` in a docstring or comment leads to something."""
    reference = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)`")
    missing = [
        (name, found)
        for name in repo_files()
        if name.endswith(".py")
        for found in reference.findall((ROOT / name).read_text(encoding="utf-8"))
        if not _is_defined(found)
    ]
    assert missing == []
