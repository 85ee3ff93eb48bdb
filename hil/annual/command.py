# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil year`: run one policy over one weather, with progress, a record and a plot."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from hil.annual.bound.optimum import prove_hours, sum_optimum
from hil.annual.energy_account import KEYS, AnnualAccount
from hil.annual.limits import PLATFORMS
from hil.annual.load_profile import YearLoad
from hil.annual.plot import render_page
from hil.annual.policy import make_policy
from hil.annual.run import AnnualRun
from hil.annual.site import AnnualSite, Deviations
from hil.annual.unit_file import format_unit, read_unit, write_unit
from hil.errors import INTERRUPTED, BenchError
from hil.io.progress import ProgressLine
from hil.io.regular_file import check_target, write_regular
from hil.plant.air.weather import Weather, WeatherError, load_weather

_OUTPUT_ONLY = ("json", "plot", "write_unit")
"""Arguments that do not change a figure. All others are in the record."""
_UNIT_POLICIES = ("coldloop", "track")
_MIN_KW, _MAX_KW = 50.0, 10_000.0
_MIN_HOURS = 1


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return exit code 0, or 130 with the hours until Ctrl-C.

    Raises `BenchError`.
    """
    try:
        weather = load_weather(arguments.weather)
    except WeatherError as error:
        raise BenchError(str(error)) from None
    _check(arguments, len(weather.hours))
    _check_targets(arguments)
    site = _make_site(arguments, weather)
    if arguments.write_unit is not None:
        _write(arguments.write_unit, format_unit(write_unit(site)), "--write-unit")
        return 0
    hours = arguments.hours or len(weather.hours)
    progress = _YearProgress(hours)
    wall_start, cpu_start = time.perf_counter(), time.process_time()
    unit: dict[str, Any] | None = None
    proof: dict[str, Any] | None = None
    if arguments.policy == "optimum":
        proof = prove_hours(site, hours, arguments.start)
        with progress.until_interrupted():
            kinds = (arguments.every, arguments.window, arguments.bound)
            sum_optimum(site, hours, arguments.start, progress, *kinds)
    else:
        year_unit = read_unit(arguments.unit, site) if uses_unit(arguments.policy) else None
        policy = make_policy(arguments.policy, site, year_unit)
        unit = policy.record()
        annual_run = AnnualRun(
            site,
            policy,
            arguments.humidity,
            arguments.coarse,
            dropout_pct=arguments.dropouts,
            silent=arguments.silent,
        )
        with progress.until_interrupted():
            annual_run.run(hours, arguments.start, progress, arguments.every)
        annual_run.assert_balances()
    account = progress.account
    assert account is not None  # at least one hour
    record = account.record(arguments.policy, time.perf_counter() - wall_start)
    record["unit"], record["proof"] = unit, proof
    record["arguments"] = list_arguments(arguments)
    record["notes"] = [*weather.notes, *([] if unit is None else unit.pop("notes", []))]
    record["cpu_s"] = round(time.process_time() - cpu_start, 1)
    record["interrupted"] = progress.is_interrupted
    if arguments.plot is not None:
        _write(arguments.plot, render_page(record, account, weather.source), "--plot")
    if arguments.json:
        print(json.dumps({key: record[key] for key in (*KEYS, "cpu_s", "interrupted")}))
    else:
        print(format_record(record))
    return INTERRUPTED if progress.is_interrupted else 0


def _check(arguments: argparse.Namespace, hours: int) -> None:
    """Check the ranges of the arguments; raises `BenchError`."""
    if arguments.unit is not None and not uses_unit(arguments.policy):
        names = ", ".join(_UNIT_POLICIES)
        raise BenchError(f"--unit: the policy {arguments.policy} uses no unit; only {names} do")
    if arguments.window != 1 and arguments.policy != "optimum":
        raise BenchError("--window: only the policy optimum is clairvoyant")
    if arguments.unit is not None and arguments.write_unit is not None:
        raise BenchError("--unit: --write-unit writes the default of the site and reads no unit")
    if arguments.bound != "free" and (arguments.policy != "optimum" or arguments.window != 1):
        raise BenchError("--bound: only for the policy optimum, and without --window")
    for option, fault in (("--silent", arguments.silent), ("--humidity", arguments.humidity)):
        if fault != "none" and arguments.policy == "optimum":
            raise BenchError(f"{option}: the policy optimum has no sensors")
    for name, value, low, high in (
        ("--it-kw", arguments.it_kw, _MIN_KW, _MAX_KW),
        ("--hours", arguments.hours, _MIN_HOURS, 10 * hours),
        ("--start", arguments.start, 0, hours - 1),
        ("--coarse", arguments.coarse, 1, 5),
        ("--every", arguments.every, 1, 365),
        ("--exchanger-ua", arguments.exchanger_ua, 0.3, 1.5),
        ("--cooler-ua", arguments.cooler_ua, 0.3, 1.5),
        ("--recirculation", arguments.recirculation, 0.0, 10.0),
        ("--wet-above", arguments.wet_above, -50.0, 60.0),
        ("--water-price", arguments.water_price, 0.0, 200.0),
        ("--dropouts", arguments.dropouts, 0.0, 50.0),
    ):
        if value is not None and not low <= value <= high:
            raise BenchError(f"{name}: {value:g} is outside {low:g} to {high:g}")


def _check_targets(arguments: argparse.Namespace) -> None:
    """Refuse a folder or a symbolic link as an output, before the year is simulated."""
    for option, path in (("--plot", arguments.plot), ("--write-unit", arguments.write_unit)):
        if path is not None:
            try:
                check_target(path)
            except BenchError as error:
                raise BenchError(f"{option}: {error}") from None


def uses_unit(policy: str) -> bool:
    """Return whether the control code of a policy has the settings of a unit."""
    return policy.partition(":")[0] in _UNIT_POLICIES


def list_arguments(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return all arguments that can change a figure, by name."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in sorted(vars(arguments).items())
        if name not in _OUTPUT_ONLY and isinstance(value, str | int | float | Path | None)
    }


def _make_site(arguments: argparse.Namespace, weather: Weather) -> AnnualSite:
    """Return the site of the arguments."""
    deviations = Deviations(arguments.exchanger_ua, arguments.cooler_ua, arguments.recirculation)
    return AnnualSite(
        weather,
        arguments.rejection,
        arguments.it_kw,
        arguments.seed,
        limits=PLATFORMS[arguments.platform],
        load=YearLoad(arguments.load, arguments.seed),
        deviations=deviations,
        wet_above_c=arguments.wet_above,
        water_kwh_m3=arguments.water_price,
    )


def _write(path: Path, text: str, option: str) -> None:
    try:
        write_regular(path, text)
    except BenchError as error:
        raise BenchError(f"{option}: {error}") from None


def format_record(record: dict[str, Any]) -> str:
    """Return the record as text."""
    parts = ", ".join(f"{name} {share:.3f}" for name, share in record["pue_parts"].items())
    loop = record["loop_parts_pct"]
    lines = [
        *(["INTERRUPTED: the figures are those of the hours until then"] * record["interrupted"]),
        (
            f"{record['weather']}, {record['rejection']}, policy {record['policy']}: "
            f"{record['hours']:.0f} h, {record['it_mwh']:.0f} MWh of IT"
        ),
        (
            f"  loop        {record['loop_pct_of_it']:.3f} % of IT (pumps {loop['pumps']:.3f}, "
            f"facility pump {loop['facility_pump']:.3f}, fans {loop['fans']:.3f})"
        ),
        (
            f"  leakage     {record['leak_pct_of_it']:.3f} % of IT; water at its price "
            f"{record['water_price_pct_of_it']:.3f} %; total cost {record['cost_pct_of_it']:.3f} %"
        ),
        (
            f"  PUE         {record['pue']:.3f} (1 + {parts}); "
            f"{record['pue_leakage_apart']:.3f} with the leakage apart"
        ),
        f"  water       {record['wue_l_per_kwh']:.3f} L/kWh",
        f"  shed        {record['hours_shed']:.1f} h, {record['energy_shed_pct']:.3f} % of energy",
        (
            f"  dew margin  {record['hours_below_dew_margin']:.2f} h below 2 K, least distance "
            f"to it {record['least_dew_margin_k']:.1f} K"
        ),
        (
            f"  flow        {record['hours_below_flow']:.2f} h below the limit of the platform, "
            f"least flow {record['least_flow_lpm_kw']:.2f} L/min per kW"
        ),
        (
            f"  hottest     case {record['worst_case_c']:.1f} degC, "
            f"supply {record['hottest_supply_c']:.1f} degC"
        ),
        (
            f"  valve       {record['valve_travel_pct']:.0f} % of travel, "
            f"{record['reversals']} reversals"
        ),
        f"  platform    {_describe(record['site']['platform'])}",
        *_describe_unit(record["unit"]),
        *([f"  proof       {_describe(record['proof'])}"] if record["proof"] else []),
        f"  arguments   {_describe(record['arguments'])}",
        *(f"  note        {note}" for note in record["notes"]),
        f"  took        {record['wall_s']:.1f} s",
    ]
    return "\n".join(lines)


def _describe_unit(unit: dict[str, Any] | None) -> list[str]:
    """Return the unit and its profiles in two lines; the hashes of profiles are shortened."""
    if unit is None:
        return ["  unit        none"]
    values = dict(unit)
    profiles = {name: digest[:12] for name, digest in values.pop("profiles_sha256").items()}
    return [f"  unit        {_describe(values)}", f"  profiles    {_describe(profiles)}"]


def _describe(values: dict[str, Any] | None) -> str:
    """Return names and values in one line."""
    if values is None:
        return "none"
    return ", ".join(f"{name} {value}" for name, value in values.items())


class _YearProgress:
    """The progress line of a year. SIGINT ends the year after the present hour, a clean state."""

    def __init__(self, hours: int) -> None:
        self.line = ProgressLine(hours, "hours")
        self.account: AnnualAccount | None = None
        self.is_interrupted = False
        self._stops = False

    def __call__(self, done: int, _hours: int, account: AnnualAccount) -> None:
        self.account = account
        loop = 100.0 * account.loop_j / account.it_j if account.it_j else 0.0
        self.line.update(done, f"loop {loop:.2f} % of IT")
        if self._stops:
            raise KeyboardInterrupt

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._stops or self.account is None:
            signal.default_int_handler(number, frame)
        self._stops = True

    @contextlib.contextmanager
    def until_interrupted(self) -> Iterator[None]:
        """Suppress the KeyboardInterrupt of the end of an hour. The first hour has no result."""
        before = signal.signal(signal.SIGINT, self._stop)
        try:
            with self.line:
                yield
        except KeyboardInterrupt:
            if self.account is None or not self.account.it_j:
                raise
            self.is_interrupted = True
        finally:
            signal.signal(signal.SIGINT, before)
