# SPDX-License-Identifier: Apache-2.0
"""The table of docs/engineer/annual.md: named years of the controller beside their bounds.

    python -m benchmarks.control.years --epw FOLDER --out FOLDER [--cases const,dry] [--every N]

example: python -m benchmarks.control.years --epw weather --out years --cases const,dry

Each year is one process of `coldloop hil year`, one at a time. Its record is a file in --out; a
record that is there is not run again, so the table can be made in parts. A year of the controller
takes 2 to 8 minutes of CPU on PyPy, a bound 20 s. The folder --epw has `dubai_tmyx.epw`,
`johannesburg_tmyx.epw`, `miami.epw` and `antananarivo.epw`; the other climates are synthetic. The
last two are in packages of PyPI: `pyenergyplus-lbnl` 26.1.0 (Miami, TMY3) and `sinergym` 3.12.2
(Antananarivo, IWEC).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import Record, describe_machine, progress, show
from hil.annual.site import AnnualSite
from hil.annual.unit_file import format_unit, write_unit
from hil.plant.air.weather import load_weather

_PROFILE = "belimo_valve"
_PROFILES = Path(__file__).resolve().parents[2] / "drivers" / "profiles"
_FLOW_POINT = "PrimaryFlowLitersPerMinute"
_ADIABATIC = ("dubai_tmyx.epw", "adiabatic")
_DRY = ("dubai_tmyx.epw", "dry")
_DEAD = ("--humidity", "dead")
_UNIT = ("--unit", "UNIT")

CASES: dict[str, tuple[tuple[str, str], tuple[str, ...], tuple[str, ...], str]] = {
    "const": (_ADIABATIC, (), (), "coldloop"),
    "const_wet30": (_ADIABATIC, (), ("--wet-above", "30"), "coldloop"),
    "no_meters": (_ADIABATIC, (), _UNIT, "coldloop"),
    "silent_facility": (_ADIABATIC, (), ("--silent", "facility"), "coldloop"),
    "fixed_40": (_ADIABATIC, (), (), "fixed:40"),
    "pi": (_ADIABATIC, (), (), "pi"),
    "phosphor": (_ADIABATIC, (), (), "phosphor"),
    "fixed_30": (_ADIABATIC, (), (), "fixed:30"),
    "week": (_ADIABATIC, ("--load", "week"), _DEAD, "coldloop"),
    "training": (_ADIABATIC, ("--load", "training"), _DEAD, "coldloop"),
    "inference": (_ADIABATIC, ("--load", "inference"), _DEAD, "coldloop"),
    "steps": (_ADIABATIC, ("--load", "steps"), _DEAD, "coldloop"),
    "training_no_meters": (_ADIABATIC, ("--load", "training"), _UNIT, "coldloop"),
    "ua6": (_ADIABATIC, ("--exchanger-ua", "0.6"), (), "coldloop"),
    "ua6_wet30": (_ADIABATIC, ("--exchanger-ua", "0.6"), ("--wet-above", "30"), "coldloop"),
    "recirculation": (_ADIABATIC, ("--recirculation", "3"), (), "coldloop"),
    "cooler6": (_ADIABATIC, ("--cooler-ua", "0.6", "--recirculation", "3"), (), "coldloop"),
    "dry": (_DRY, (), (), "coldloop"),
    "dry_training": (_DRY, ("--load", "training"), (), "coldloop"),
    "johannesburg": (("johannesburg_tmyx.epw", "dry"), (), (), "coldloop"),
    "miami": (("miami.epw", "adiabatic"), (), (), "coldloop"),
    "antananarivo": (("antananarivo.epw", "dry"), (), (), "coldloop"),
    "abu_dhabi": (("abu-dhabi", "adiabatic"), (), (), "coldloop"),
    "cape_town": (("cape-town", "dry"), (), (), "coldloop"),
}
"""Name: site, options of plant and load (also those of the bound), options of the unit, policy."""

_SHOWN = (
    *("loop_pct_of_it", "leak_pct_of_it", "water_price_pct_of_it", "cost_pct_of_it"),
    *("pue", "pue_leakage_apart", "wue_l_per_kwh"),
    *("energy_shed_pct", "worst_case_c", "valve_travel_pct_week"),
)


def write_unit_without_meters(folder: Path) -> Path:
    """Write the default unit without meters of IT and pumps and without a flow meter."""
    raw = write_unit(AnnualSite(load_weather("dubai"), "adiabatic"))
    for meter in ("it_meter", "pump_meter"):
        del raw["cooling"]["optimum"][meter]
    profile = json.loads((_PROFILES / f"{_PROFILE}.json").read_text())
    profile["points"] = [point for point in profile["points"] if point["name"] != _FLOW_POINT]
    (folder / "profiles").mkdir(parents=True, exist_ok=True)
    (folder / "profiles" / f"{_PROFILE}.json").write_text(json.dumps(profile))
    path = folder / "unit.json"
    path.write_text(format_unit(raw))
    return path


def run_year(arguments: argparse.Namespace, name: str, policy: str) -> Record:
    """Return the record of a case, from its file or from a run; `policy` may be the bound."""
    (weather, kind), plant, unit, _ = CASES[name]
    is_bound = policy == "optimum"
    label = "_".join(["bound", *weather.split("."), kind, *plant]) if is_bound else name
    path = arguments.out / f"{label.replace('--', '')}.json"
    if path.is_file():
        record: Record = json.loads(path.read_text())
        return record
    place = arguments.epw / weather if weather.endswith(".epw") else weather
    command = ["--weather", place, "--rejection", kind, "--policy", policy, *plant]
    command += [] if is_bound else [_unit_path(arguments, word) for word in unit]
    command += ["--every", arguments.every, "--hours", arguments.hours, "--json"]
    done = subprocess.run(
        [sys.executable, "coldloop.py", "hil", "year", *map(str, command)],
        cwd=_PROFILES.parents[1],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    record = json.loads(done.stdout)
    path.write_text(json.dumps(record))
    progress(f"{label}: {record['cost_mwh']} MWh in {record['cpu_s']} s of CPU")
    return record


def _unit_path(arguments: argparse.Namespace, word: str) -> str:
    return word if word != "UNIT" else str(write_unit_without_meters(arguments.out / "no_meters"))


def _row(name: str, year: Record, bound: Record) -> list[Any]:
    cost, loop = (year[key] / bound[key] for key in ("cost_mwh", "loop_pct_of_it"))
    return [name, *(year[key] for key in _SHOWN), f"{cost:.3f}", f"{loop:.3f}"]


def main() -> int:
    """Run the cases and show the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.control.years",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--epw", type=Path, default=Path(), help="folder with the weather files")
    parser.add_argument("--out", type=Path, required=True, help="folder of the records")
    parser.add_argument("--cases", default=",".join(CASES), help="names, separated by commas")
    parser.add_argument("--every", type=int, default=1, help="simulate one day in N (1)")
    parser.add_argument("--hours", type=int, default=8760)
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    arguments.epw, arguments.out = arguments.epw.resolve(), arguments.out.resolve()
    arguments.out.mkdir(parents=True, exist_ok=True)
    unknown = [name for name in arguments.cases.split(",") if name not in CASES]
    if unknown:
        print(f"benchmarks.control.years: no such case: {', '.join(unknown)}", file=sys.stderr)
        return 2
    years = {
        name: (run_year(arguments, name, CASES[name][3]), run_year(arguments, name, "optimum"))
        for name in arguments.cases.split(",")
    }
    rows = [_row(name, year, bound) for name, (year, bound) in years.items()]
    rows += [_row(f"bound of {name}", bound, bound) for name, (_, bound) in years.items()]
    record: Record = {"machine": describe_machine(), "years": dict(years)}
    show(record, arguments.json, ("case", *_SHOWN, "cost / bound", "loop / bound"), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
