# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil year`: the record names all arguments; a unit is read as the agent reads it."""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from hil.annual import command
from hil.annual.bound.optimum import sum_optimum
from hil.annual.policy import make_policy
from hil.annual.run import AnnualRun
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


def test_a_unit_that_leaves_the_limits_of_the_platform_is_named(tmp_path: Path) -> None:
    """Below the least flow a unit costs less than the bound: the record must show it."""
    raw = write_unit(site())
    raw["control"]["dp"]["min_pct"] = 20
    raw["cooling"]["optimum"].update(pump_min_pct=20, dp_min_kpa=10, case_max_c=95)
    raw["cooling"]["fans"]["wet_above_c"] = 10
    path = tmp_path / "unit.json"
    path.write_text(format_unit(raw))
    unit = read_unit(path, site())
    for words in (("20 %", "68.2"), ("case_max_c", "75"), ("wet_above_c", "29")):
        assert any(all(word in note for word in words) for note in unit.notes), words
    mild = AnnualSite(load_weather("johannesburg"), "dry")
    accounts = [
        AnnualRun(mild, make_policy("coldloop", mild, read_unit(file, mild))).run(2, 4380)
        for file in (path, None)
    ]
    low, default = (account.record("coldloop", 1.0) for account in accounts)
    assert low["hours_below_flow"] > 1.5
    assert low["least_flow_lpm_kw"] < 0.99
    assert default["hours_below_flow"] == 0.0
    assert default["least_flow_lpm_kw"] >= 0.995
    bound = sum_optimum(mild, 2, 4380).record("optimum", 1.0)
    assert bound["hours_below_flow"] == 0.0
    assert bound["least_flow_lpm_kw"] == pytest.approx(1.0, abs=0.001)
    assert 0.0 < bound["hottest_supply_c"] <= 45.0
    assert read_unit(None, site()).notes == ()


@pytest.mark.parametrize(("start", "every"), [(5000, 1), (31 * 24, 31)])
def test_a_dead_humidity_sensor_is_dead_from_the_second_month_of_the_weather(
    start: int, every: int
) -> None:
    """The time of the run does not count: it is shorter than a year with --start and --every."""
    place, seen = site(), []
    policy = make_policy("coldloop", place)
    policy.set_humidity = lambda sensor, *_: seen.append(sensor)  # type: ignore[method-assign]
    AnnualRun(place, policy, "dead").run(1, start, every=every)
    assert set(seen) == {1}
    seen.clear()
    AnnualRun(place, policy, "dead").run(1, 30 * 24)
    assert set(seen) == {0, 1}


@pytest.mark.parametrize("option", [("--silent", "flow"), ("--humidity", "dead")])
def test_the_bound_refuses_faults_of_sensors(option: tuple[str, str]) -> None:
    with pytest.raises(BenchError, match=option[0]):
        command.run(parse("--policy", "optimum", "--hours", "1", *option))


@pytest.mark.parametrize("option", ["--plot", "--write-unit"])
def test_a_link_or_a_folder_is_not_overwritten(option: str, tmp_path: Path) -> None:
    other, link = tmp_path / "other", tmp_path / "link"
    other.write_text("mine")
    link.symlink_to(other)
    for path in (link, tmp_path):
        with pytest.raises(BenchError, match=option):
            command.run(parse("--hours", "1", option, str(path)))
    assert other.read_text() == "mine"
