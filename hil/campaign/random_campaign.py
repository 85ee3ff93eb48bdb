# SPDX-License-Identifier: Apache-2.0
"""A random campaign: draws scenarios, runs them, and keeps those that violate an invariant.

Does not define the rules; see `hil.campaign.words`. From a seed, `generate_scenario` makes a
scenario of one hour (or another duration). All faults end 4 minutes before its end. Safety: the
invariants hold at all times. Liveness: at the end the unit is as before the faults. A seed gives
the same scenario and the same run on any machine and interpreter. So the seed is enough to repeat a
failure. The campaign also writes the scenario to a file, because a later version can have other
rules.
"""

import platform
import random
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import exp, log
from typing import Any

from hil.bench.testbed_settings import TestbedSettings
from hil.campaign import control_only, nth_failure, workers
from hil.campaign.cluster import run_on_cluster
from hil.campaign.hazard.plant_only import run_plant_pairs
from hil.campaign.words import DEW, DRAWN, LIVENESS, SAFETY, STATE, FaultRule
from hil.devices.gnss.dialects import DIALECTS
from hil.errors import BenchError
from hil.fault.registry import EVENTS
from hil.io.strict_json import sha256
from hil.plant.fluid.parameters import PlantParameters
from hil.run.recorded import DUTS
from hil.run.virtual import VirtualRun
from hil.scenario.model import Expectation, Scenario, ScenarioEvent
from hil.scenario.toml_writer import round_trip, write_toml

SECONDS = 3600
MIN_SECONDS = 600
_FIRST_S, _FAULT_FREE_S = 30, 240
_MAX_EVENTS = 12
_MEAN_S = 1800.0
"""Time constant of the mean in `agent.safety.loop_watch`, s."""
NO_LEVEL_KPA, SURE_LEVEL_KPA = 2.4, 3.6
"""The alarm `level_low` comes at 3 kPa: never below the first, always above the second."""
RESTARTS = (
    "power_cut",
    "board_restart",
    "raise_in",
    "roll_back_config",
    "confirm_config",
    "push_setpoint",
)
"""After a restart the mean begins with the pressure of that moment."""


def generate_scenario(seed: int, seconds: int = SECONDS) -> Scenario:
    """Draw the scenario of a seed; `seconds` is 600 or more."""
    rng = random.Random(f"campaign/{seed}/{seconds}")
    rules = rng.sample(DRAWN, rng.randint(1, _MAX_EVENTS))
    last_s = seconds - _FAULT_FREE_S
    events = sorted(
        (_draw_event(rule, rng, last_s) for rule in rules), key=lambda event: event.at_s
    )
    settings = _draw_settings(rules, rng)
    return Scenario(
        f"campaign-{seed}",
        f"{len(events)} random faults of seed {seed}",
        seconds,
        settings,
        tuple(events),
        SAFETY
        + ((DEW,) if any(rule.humidity_sensors for rule in rules) else ())
        + tuple(
            replace(item, from_s=seconds - 30) for item in list_liveness(events, settings, seconds)
        ),
    )


def list_liveness(
    events: list[ScenarioEvent], settings: TestbedSettings, seconds: int
) -> list[Expectation]:
    """Return what must hold at the end.

    Vented air takes coolant from the reservoir. If the static pressure has fallen far enough, the
    unit must be degraded by `level_low`, if it has fallen little, it must be normal, and nothing
    else may degrade it. A unit without the section `safety` has no such alarm, and must be normal.
    """
    if not any(event.do == "air_in_loop" for event in events) or "safety" not in settings.parts:
        return list(LIVENESS)
    falls = [_static_fall_kpa(event, seconds) for event in events if event.do == "air_in_loop"]
    others = [item for item in LIVENESS if item is not STATE]
    others.append(Expectation("degrading:level_low", max=0, requirement="SAFE-1"))
    low = Expectation("alarm:level_low", min=0, max=1, requirement="SAFE-1")
    if sum(falls) < NO_LEVEL_KPA:
        low = replace(low, max=0)
    elif max(falls) > SURE_LEVEL_KPA and not any(event.do in RESTARTS for event in events):
        low = replace(low, min=1)
    return [*others, low]


def _static_fall_kpa(event: ScenarioEvent, seconds: int) -> float:
    """Return the largest fall of the static pressure below its mean, until the end, kPa.

    The air leaves with the time constant of the separator, and coolant of the reservoir replaces
    it. The mean of the unit follows with a time constant of `_MEAN_S`. The difference of both is
    F k (exp(-t / mean) - exp(-t / separator)) with k = mean / (mean - separator).
    """
    plant = PlantParameters()
    litres = plant.supply_pipe_l + plant.return_pipe_l + plant.cdu_volume_l
    full_kpa = plant.vessel_slope_kpa_l * litres * (event.value or 0.0) / 100.0
    vent_s = plant.air_separator_s
    factor = _MEAN_S / (_MEAN_S - vent_s)
    most_s = min(seconds - event.at_s, factor * vent_s * log(_MEAN_S / vent_s))
    return full_kpa * factor * (exp(-most_s / _MEAN_S) - exp(-most_s / vent_s))


def _draw_settings(rules: list[FaultRule], rng: random.Random) -> TestbedSettings:
    """Draw the settings of the row, with all that the drawn faults need."""
    needs_dialect = any(EVENTS[rule.fault].needs_dialect for rule in rules)
    components = {component for rule in rules for component in rule.components}
    return TestbedSettings(
        receiver_dialect=rng.choice(sorted(DIALECTS)) if needs_dialect else "",
        it_kw=float(rng.randint(20, 100)),
        drift_ppm=round(rng.uniform(-5, 5), 2),
        broker_latency_ms=float(rng.randint(1, 900)),
        meters=max(rule.meters for rule in rules),
        humidity_sensors=max(rule.humidity_sensors for rule in rules),
        fans=max(rule.fans for rule in rules),
        parts=", ".join(sorted(components)),
    )


def _draw_event(rule: FaultRule, rng: random.Random, last_s: int) -> ScenarioEvent:
    at_s = rng.randint(_FIRST_S, last_s - max(rule.max_duration_s, 1))
    value = None
    if rule.low is not None and rule.high is not None:
        value = round(rng.uniform(rule.low, rule.high), 2)
        if rule.is_integer:
            value = float(rng.randint(int(rule.low), int(rule.high)))
    for_s = float(rng.randint(1, rule.max_duration_s)) if rule.max_duration_s else None
    text = rng.choice(rule.texts) if rule.texts else ""
    return ScenarioEvent(float(at_s), rule.fault, value, for_s, text)


@dataclass
class SeedResult:
    """Result of one seed. `text`: the scenario as TOML if it failed; `digest`: of a drawn run.

    `options`: further options of the command line that repeats it.
    """

    seed: int
    failures: list[str]
    virtual_s: float
    wall_s: float
    text: str = ""
    options: str = ""
    digest: str = ""

    def repeat_command(self, dut: str) -> str:
        """Return the command line that repeats the seed."""
        return f"coldloop hil campaign --first {self.seed} --seeds 1{self.options} --dut {dut}"


def run_seed(seed: int, seconds: int = SECONDS, dut: str = "cpython") -> SeedResult:
    """Draw and run one seed; an exception of the controller counts as a failure."""
    started_s = time.perf_counter()
    scenario = round_trip(generate_scenario(seed, seconds))
    failures: list[str]
    digest = ""
    try:
        run = VirtualRun(scenario, seed, DUTS[dut])
        try:
            run.run()
            failures = run.evaluator.failures() + run.contained_faults()
            digest = run.shell.digest.text()
        finally:
            run.dut.close()
    except BenchError as error:
        failures = [f"{type(error).__name__}: {error}"]
    except Exception as error:  # noqa: BLE001 - whatever it dies of is a finding
        frame = traceback.extract_tb(error.__traceback__)[-1]
        failures = [f"{type(error).__name__}: {error} ({frame.name}, line {frame.lineno})"]
    text = write_toml(scenario) if failures else ""
    options = f" --seconds {seconds}" if seconds != SECONDS else ""
    wall_s = time.perf_counter() - started_s
    return SeedResult(seed, failures, scenario.seconds, wall_s, text, options, digest)


def run_nth_failure(nth: int, kind: str, dut: str = "cpython") -> SeedResult:
    """Let the n-th place of a kind fail (`hil.campaign.nth_failure`); judge the recovery."""
    run = nth_failure.run_one(kind, nth, dut)
    text = nth_failure.write_base_scenario() if run.failures else ""
    return SeedResult(nth, run.failures, nth_failure.SECONDS, run.wall_s, text, f" --sweep {kind}")


def run_control_hours(seed: int, hours: int, _: str = "cpython") -> SeedResult:
    """Run control and plant of a seed without buses (`hil.campaign.control_only`)."""
    run = control_only.run_control_only(seed, hours)
    options = f" --plant --hours {hours}"
    return SeedResult(seed, run.failures, 3600.0 * hours, run.wall_s, "", options)


def run_plant_hazards(seed: int, hours: int, _: str = "cpython") -> SeedResult:
    """Run pairs of hazard words on control and plant (`hil.campaign.hazard.plant_only`)."""
    started_s = time.perf_counter()
    failures = run_plant_pairs(seed, hours)
    wall_s = time.perf_counter() - started_s
    return SeedResult(
        seed, failures, 3600.0 * hours, wall_s, "", f" --plant --hazards --hours {hours}"
    )


@dataclass
class CampaignTally:
    """Sums of a campaign. The digest does not depend on the order of the results."""

    seeds: int = 0
    virtual_s: float = 0.0
    failed: list[SeedResult] = field(default_factory=list)
    digest_lines: list[str] = field(default_factory=list)

    def add(self, result: SeedResult) -> None:
        """Add the result of one seed."""
        self.seeds += 1
        self.virtual_s += result.virtual_s
        self.digest_lines.append(f"{result.seed:09d} {result.digest} {result.failures}\n")
        if result.failures:
            self.failed.append(result)

    def record(self, dut: str, wall_s: float) -> dict[str, Any]:
        """Return the JSON record of the campaign."""
        return {
            "seeds": self.seeds,
            "dut": dut,
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "virtual_hours": round(self.virtual_s / 3600, 2),
            "wall_s": round(wall_s, 1),
            "digest": sha256("".join(sorted(self.digest_lines)).encode()),
            "violations": len(self.failed),
            "failed": [
                {
                    "seed": result.seed,
                    "failures": result.failures,
                    "again": result.repeat_command(dut),
                }
                for result in self.failed
            ],
        }


def run_jobs(
    call: Callable[..., SeedResult], jobs: list[tuple[Any, ...]], count: int, cluster: str | None
) -> Iterator[SeedResult]:
    """Run `call` with each of `jobs` in `count` processes here, or on a cluster."""
    if cluster is not None:
        yield from run_on_cluster(cluster, call, jobs)
    else:
        yield from workers.run_jobs(call, jobs, count)
