# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil year`: the record names all arguments; a unit is read as the agent reads it."""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from hil.annual import command
from hil.annual.site import AnnualSite
from hil.annual.unit_file import format_unit, read_unit, write_unit
from hil.errors import BenchError
from hil.plant.air.weather import load_weather
from hil.tools import year

BASE = ("--weather", "dubai", "--rejection", "adiabatic")


def parse(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    year.configure(parser)
    return parser.parse_args([*BASE, *options])


def site(it_kw: float = 1000.0) -> AnnualSite:
    return AnnualSite(load_weather("dubai"), "adiabatic", it_kw)


def written(folder: Path, **changes: Any) -> Path:
    raw = write_unit(site())
    for key, values in changes.items():
        raw[key].update(values)
    path = folder / "unit.json"
    path.write_text(format_unit(raw))
    return path


def test_the_record_has_all_arguments_that_change_a_figure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ("--hours", "1", "--start", "4810", "--policy", "optimum", "--seed", "7")
    more = ("--recirculation", "2", "--dropouts", "0.2", "--it-kw", "900")
    assert command.run(parse(*options, *more, "--json")) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["format"].startswith("coldloop-year")
    assert record["hours"] == 1
    names = set(vars(parse())) - {"json", "plot", "write_unit"}
    assert set(record["arguments"]) == names
    expected = {"start": 4810, "seed": 7, "recirculation": 2.0, "dropouts": 0.2, "it_kw": 900.0}
    assert record["arguments"].items() >= expected.items()
    assert command.run(parse(*options, *more)) == 0
    text = capsys.readouterr().out
    assert all(f"{name} " in text for name in names)


@pytest.mark.parametrize("policy", ["optimum", "fixed:30", "pi", "phosphor"])
def test_a_policy_without_a_unit_refuses_one(policy: str) -> None:
    with pytest.raises(BenchError, match="uses no unit"):
        command.run(parse("--policy", policy, "--unit", "/nowhere.json"))


def test_hashes_are_those_of_the_files(tmp_path: Path) -> None:
    path = written(tmp_path)
    unit = read_unit(path, site())
    assert unit.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert unit.digest == read_unit(None, site()).digest
    path.write_text(path.read_text() + "\n")
    assert unit.digest != read_unit(path, site()).digest
    assert set(unit.profile_digests) >= {"orv3_rpu", "belimo_valve"}
    assert {len(digest) for digest in unit.profile_digests.values()} == {64}
    assert unit.notes == ()


def test_a_unit_is_read_as_the_agent_reads_it(tmp_path: Path) -> None:
    path = written(tmp_path)
    for text, what in (
        (path.read_text().replace("{", '{"unit": "a",', 1), "twice"),
        ("[" * 100_000, "unit.json"),
        ('{"version": ' + "[" * 900 + "]" * 900 + "}", "unit.json"),
        ("\udcff", "unit.json"),
    ):
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        with pytest.raises(BenchError, match=what) as error:
            read_unit(path, site())
        assert "\n" not in str(error.value)
    toml = tmp_path / "unit.toml"
    toml.write_text("version = 1\n")
    with pytest.raises(BenchError, match="site"):
        read_unit(toml, site())


def test_settings_that_do_not_fit_the_site_have_notes(tmp_path: Path) -> None:
    path = written(tmp_path, limits={"supply_max_c": 30})
    notes = read_unit(path, site(500.0)).notes
    assert any("supply_max_c" in note and "30" in note for note in notes)
    assert any("design_kw" in note and "500" in note for note in notes)


@pytest.mark.parametrize("option", ["--plot", "--write-unit"])
def test_a_link_or_a_folder_is_not_overwritten(option: str, tmp_path: Path) -> None:
    other, link = tmp_path / "other", tmp_path / "link"
    other.write_text("mine")
    link.symlink_to(other)
    for path in (link, tmp_path):
        with pytest.raises(BenchError, match=option):
            command.run(parse("--hours", "1", option, str(path)))
    assert other.read_text() == "mine"
