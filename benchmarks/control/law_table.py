# SPDX-License-Identifier: Apache-2.0
"""One table of the supply temperature laws: disturbances, square waves of the load, four laws.

Does not run the agent. `coldloop` is the shipped loop (`agent.control.loop.supply_feedforward`)
with a stand-in for the valve's session; the peers are those of `benchmarks.control.laws`. All have
the same plant, resolution, sensors and valve. The settings of a law are those of the nominal plant.

    coldloop   model of the exchanger, small PI, deadband, detector of oscillation
    PI         the loop of a configuration without a model: gain 5 %/K, integral 15 s
    phosphor   openbmc/phosphor-pid-control, pid/ec/pid.cpp, the same gains
    IMC        PI tuned by internal model control (Rivera, Morari, Skogestad 1986), `IMC_GAIN`

Load: 30 kW, 90 kW at 300 s, 50 kW at 1,350 s, end at 2,400 s. Square waves: 100 kW and 30 or
70 kW in turn from 300 s, half periods of 2 to 120 s. Figures: seconds until the supply stays within
0.5 K (the longer of both steps; never: not in the 60 s before the next step; a wave: 0 or never),
largest deviation above and below, peak to peak in the last 600 s, travel of the valve.

`coldloop` is worse than a peer in a figure if the mean over the seeds is larger, or one seed is.
Differences below the resolution of the figures are none (`RESOLUTION`). One seed may be larger than
the mean of the peer by twice the spread of the figure too: the root of the sum of the variances of
both laws over the seeds.
"""

import argparse
import sys
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import fmean, pvariance
from typing import Any

from agent.control.law.cooling import ControlReadings, CoolingControl
from agent.control.loop.supply_feedforward import SupplyLoopFf
from agent.control.watch.valve_watch import ValveWatch
from agent.core.actuator import Decision
from agent.core.config_records import LoopConfig
from benchmarks import common
from benchmarks.control import laws
from hil.plant.fluid.parameters import PlantParameters

SECONDS = 2400
STEPS = ((300, 90.0), (1350, 50.0))

PROCESS_GAIN, PROCESS_TIME_CONSTANT_S, DELAY_S = 0.43, 36.5, 4.0
"""First-order model with delay: K per %, s, s. Two points (28 %, 63 %) of the valve step response
that `hil.plant.plant` documents; the delay is the lag of the sensor."""
_IMC_TIME_CONSTANT_S = 0.5 * PROCESS_TIME_CONSTANT_S
IMC_GAIN = PROCESS_TIME_CONSTANT_S / (PROCESS_GAIN * (_IMC_TIME_CONSTANT_S + DELAY_S))
"""Percent per K, for a closed loop twice as fast as the open loop; the integral time is
`PROCESS_TIME_CONSTANT_S`."""


@dataclass(frozen=True)
class Disturbance:
    """Changes of the nominal plant: factors (`valve_flow`: facility flow of the open valve);
    stiction in percent of the stroke; half period of a square wave, seconds (0: load steps), and
    its low load.
    """

    ua: float = 1.0
    delay: float = 1.0
    lag: float = 1.0
    noise: float = 1.0
    valve_flow: float = 1.0
    stiction_pct: float = 0.0
    wave_s: int = 0
    wave_low_kw: float = 30.0


DISTURBANCES = {
    "load step": Disturbance(),
    "UA -40 %": Disturbance(ua=0.6),
    "UA +50 %": Disturbance(ua=1.5),
    "dead time x3": Disturbance(delay=3.0),
    "lag x3": Disturbance(lag=3.0),
    "noise x5": Disturbance(noise=5.0),
    "stiction 2 %": Disturbance(stiction_pct=2.0),
    "stiction 5 %": Disturbance(stiction_pct=5.0),
    "valve x2.5": Disturbance(valve_flow=2.5),
}
HALF_PERIODS_S = (2, 3, 5, 8, 10, 15, 20, 30, 40, 60, 90, 120)
DISTURBANCES |= {
    f"wave {low} % {half} s": Disturbance(wave_s=half, wave_low_kw=float(low))
    for low in (30, 70)
    for half in HALF_PERIODS_S
}
RESOLUTION = {"settle": 3.0, "deviation": 0.05, "travel": 3.0}
"""Seconds, K, percent."""
SEEDS = (1, 2, 3, 4)
_NEVER_S = float(SECONDS)


_LOOP = {
    "setpoint_c": laws.SETPOINT_C,
    "sensor": "rpu",
    "gain_pct_per_k": laws.GAIN_PCT_PER_K,
    "integral_s": laws.INTEGRAL_S,
    "min_pct": laws.MIN_PCT,
    "max_pct": laws.MAX_PCT,
    "safe_pct": 60.0,
    "rate_pct_per_s": laws.RATE_PCT_PER_S,
}


class _ValveStub:
    """The valve of the loop: position and command, deadband of `agent.control.actuator.valve`."""

    is_reversed = False

    def __init__(self, position: float) -> None:
        self.position_pct = self.command_pct = position

    def position(self) -> float:
        return round(self.position_pct, 2)

    def request(self, percent: float) -> None:
        if abs(percent - self.command_pct) >= 0.5 or percent in (0.0, 100.0):
            self.command_pct = percent

    def withhold(self) -> None:
        pass


class _SensorStub:
    def __init__(self, readings: ControlReadings) -> None:
        self.readings = readings

    def value(self, _: int) -> float | None:
        return self.readings.supply_c


class _ArbiterStub:
    decision: Decision | None = None

    def winner(self) -> None:
        return None

    def decide(self, output: float) -> Any:
        self.decision = Decision(output, "loop", "", True)
        return self.decision


def coldloop(start: float) -> laws.Controller:
    """Make the shipped loop."""
    config = LoopConfig(_LOOP, "c", ["valve"])
    cooling, own_readings = CoolingControl(laws.settings()), ControlReadings()
    valve: Any = _ValveStub(start)
    arbiter: Any = _ArbiterStub()
    sensor: Any = _SensorStub(own_readings)
    loop = SupplyLoopFf(config, sensor, valve, arbiter, cooling, own_readings)
    watch = ValveWatch(loop, own_readings)
    now = 0

    def step(readings: ControlReadings) -> float:
        nonlocal now
        now += laws.SECOND
        for name, value in vars(readings).items():
            setattr(own_readings, name, value)
        valve.position_pct = readings.valve_pct
        cooling.ramp_setpoint(now, 1.0)
        watch.step(1.0)
        loop.step(now, 1.0)
        return float(valve.command_pct)

    return step


def imc(start: float) -> laws.Controller:
    """Make the PI with the gains of internal model control."""
    return laws.pi_loop(start, IMC_GAIN, PROCESS_TIME_CONSTANT_S)


LAWS = {"coldloop": coldloop, "PI": laws.pi_loop, "phosphor": laws.phosphor, "IMC": imc}


def _plant(disturbance: Disturbance) -> PlantParameters:
    p = PlantParameters()
    return PlantParameters(
        start_it_kw=30.0,
        start_supply_c=laws.SETPOINT_C,
        hx_ua_kw_k=p.hx_ua_kw_k * disturbance.ua,
        fws_open_lpm=p.fws_open_lpm * disturbance.valve_flow,
        supply_pipe_l=p.supply_pipe_l * disturbance.delay,
        return_pipe_l=p.return_pipe_l * disturbance.delay,
        temperature_lag_s=p.temperature_lag_s * disturbance.lag,
        temperature_noise_k=p.temperature_noise_k * disturbance.noise,
        valve_deadband_pct=max(p.valve_deadband_pct, disturbance.stiction_pct),
    )


def trial(law: str, disturbance_name: str, seconds: int = SECONDS, seed: int = 1) -> dict[str, Any]:
    """Run one law with one disturbance; return its figures."""
    disturbance = DISTURBANCES[disturbance_name]
    steps: tuple[tuple[int, float], ...] = STEPS
    half_period_s, low_kw = disturbance.wave_s, disturbance.wave_low_kw
    if half_period_s:
        times = enumerate(range(300, seconds, half_period_s))
        steps = tuple((at, low_kw if i % 2 else 100.0) for i, at in times)
    run = laws.ControlTrial(LAWS[law], plant=_plant(disturbance), steps=steps, seed=seed)
    run.run(seconds)
    figures = run.figures()
    if half_period_s:
        figures["settle_s"] = 0.0 if max(figures["over_k"], figures["under_k"]) <= 0.5 else None
    return {"law": law, "case": disturbance_name, "seed": seed, **figures}


def find_worse_figures(trials: list[dict[str, Any]]) -> list[str]:
    """Return where `coldloop` is worse than a peer; see the module."""
    worse = []
    for disturbance_name in dict.fromkeys(t["case"] for t in trials):
        by_law: dict[str, list[dict[str, float]]] = {}
        for t in trials:
            if t["case"] == disturbance_name:
                by_law.setdefault(t["law"], []).append(_figures(t))
        own_figures = by_law.pop("coldloop", [])
        for law, peer_figures in by_law.items():
            for figure, resolution in RESOLUTION.items():
                own_values = [f[figure] for f in own_figures]
                peer_values = [f[figure] for f in peer_figures]
                problem = _worse(own_values, peer_values, resolution)
                worse += [f"{disturbance_name}: {figure} {problem} ({law})"] if problem else []
    return worse


def _worse(own_values: list[float], peer_values: list[float], resolution: float) -> str:
    """Compare one figure over the seeds; return the difference, empty if it is not worse."""
    if not own_values:
        return ""
    peer_mean = fmean(peer_values)
    margin = 2.0 * sqrt(pvariance(own_values) + pvariance(peer_values))
    if fmean(own_values) > peer_mean + resolution:
        return f"{fmean(own_values):.3g}, {peer_mean:.3g}"
    if max(own_values) > peer_mean + resolution + margin:
        return f"of a seed {max(own_values):.3g}, {peer_mean:.3g} + {margin:.2g}"
    return ""


def _figures(t: dict[str, Any]) -> dict[str, float]:
    settle = _NEVER_S if t["settle_s"] is None else t["settle_s"]
    deviation = max(t["over_k"], t["under_k"])
    return {"settle": settle, "deviation": deviation, "travel": t["travel_pct"]}


_PAGE = """# Laws of the supply temperature, compared

For engineers of control. Written by `python -m benchmarks.control.law_table --page FILE`. Do not
edit.

Four laws have the same plant, sensors and valve; the settings are those of the nominal plant. Each
cell is the mean of {seeds} seeds, in the order coldloop / PI / phosphor / IMC. The first column of
figures is the time until the supply stays within 0.5 K of its set-point, in seconds. `-` means that
a seed never does, or leaves this band in a square wave. Then follow the largest deviation above and
below the set-point, K, and the travel of the valve in 40 minutes, percent. `worse` names the
figures in which the mean of coldloop is larger than that of a peer. {revision}

The peers are far above the set-point after the first rise of a load, and so less far below it
after the fall. The feed-forward of coldloop follows both edges: its deviations have the same size
in both directions, and the larger one is smaller than that of each peer. In waves of 20 to 60 s
the largest value below comes in the first five minutes, before the wave is detected. Afterwards the
valve follows the mean load, with a small travel.

| disturbance | settle, s | above, K | below, K | travel, % | worse |
|---|---|---|---|---|---|
"""


def write_page(record: dict[str, Any]) -> str:
    """Write the table as Markdown; `record` is that of `main`."""
    trials = record["trials"]
    machine = record["machine"]
    seeds = len({t["seed"] for t in trials})
    lines = []
    for disturbance_name in dict.fromkeys(t["case"] for t in trials):
        runs = [t for t in trials if t["case"] == disturbance_name]
        means = [_means([t for t in runs if t["law"] == law]) for law in LAWS]
        cells = [
            " / ".join("-" if m[name] >= _NEVER_S else f"{m[name]:.{digits}f}" for m in means)
            for name, digits in _PAGE_FIGURES.items()
        ]
        worse = [n for n in _PAGE_FIGURES if means[0][n] > min(m[n] for m in means[1:])]
        lines.append(f"| {disturbance_name} | {' | '.join(cells)} | {', '.join(worse) or 'none'} |")
    text = f"Measured on {machine['date'][:10]}, revision {machine['revision']}."
    return _PAGE.format(seeds=seeds, revision=text) + "\n".join(lines) + "\n"


_PAGE_FIGURES = {"settle": 0, "above": 2, "below": 2, "travel": 0}


def _means(trials: list[dict[str, Any]]) -> dict[str, float]:
    """Return the means over the seeds; one seed that never settles makes the mean never."""
    settle = [t["settle_s"] for t in trials]
    return {
        "settle": _NEVER_S if None in settle else fmean(settle),
        "above": fmean(t["over_k"] for t in trials),
        "below": fmean(t["under_k"] for t in trials),
        "travel": fmean(t["travel_pct"] for t in trials),
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--law", choices=sorted(LAWS), action="append")
    parser.add_argument("--case", choices=sorted(DISTURBANCES), action="append")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--page", type=Path, metavar="FILE", help="also write the table as a page")
    arguments = parser.parse_args()
    trials = []
    for disturbance_name in arguments.case or DISTURBANCES:
        for law in arguments.law or LAWS:
            common.progress(f"{law}, {disturbance_name}")
            seeds = arguments.seed or SEEDS
            trials += [trial(law, disturbance_name, arguments.seconds, seed) for seed in seeds]
    record: dict[str, Any] = {"machine": common.describe_machine(), "trials": trials}
    record["worse"] = find_worse_figures(trials)
    if arguments.page is not None:
        arguments.page.write_text(write_page(record), encoding="utf-8")
    head = [
        "disturbance",
        "law",
        "seed",
        "settle s",
        "over K",
        "under K",
        "steady K",
        "travel %",
        "turns",
    ]
    rows = [
        [t["case"], t["law"], t["seed"]]
        + ["never" if t["settle_s"] is None else f"{t['settle_s']:.0f}"]
        + [t[k] for k in ("over_k", "under_k", "steady_k", "travel_pct", "reversals")]
        for t in trials
    ]
    common.show(record, arguments.json, head, rows)
    if not arguments.json:
        print("\n".join(["", "coldloop is worse:", *record["worse"]]) if record["worse"] else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
