# SPDX-License-Identifier: Apache-2.0
"""Control laws of the supply temperature on one plant: load 30, 90, 50 % in 70 minutes.

Does not run the agent: the laws get readings and return outputs once a second. So all laws have the
same plant (`hil.plant`), the same resolution (0.1 K, 0.1 L/min, 0.01 % of the valve) and the same
valve with a stroke of 60 s. `wrong` is the difference between the plant and the settings of the
law.

    coldloop       `agent.control.law.cooling`: inverse of the exchanger, small PI, two deadbands
    coldloop PI    the loop of a configuration without a model: PI, 0.5 % deadband
    phosphor       openbmc/phosphor-pid-control, pid/ec/pid.cpp: PI, slew limit, integral from
                   output minus proportional term; gains as for coldloop PI
    manual         the form in manuals of vendors: P = (T-SP)/PB, I += (T-SP)/IR, PB 10 K, IR 100
    simple-pid     the library, same gains, output limits

With --steps: cost of one step on CPython and MicroPython, in µs and bytes of heap.
"""

import argparse
import random
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from agent.control.law.cooling import ControlReadings, CoolingControl
from agent.control.law.pi import PiController
from agent.core.tunable import TUNABLES
from benchmarks import common
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.plant import Plant

SECOND = 1_000_000
SECONDS = 4200
STEPS = ((600, 90.0), (2400, 50.0))
SETPOINT_C = 32.0
_DEFAULTS = {tunable.path: (tunable.default or 0) / 1000 for tunable in TUNABLES}
GAIN_PCT_PER_K = _DEFAULTS["control.supply.gain_pct_per_k"]
INTEGRAL_S = _DEFAULTS["control.supply.integral_s"]
MIN_PCT, MAX_PCT = _DEFAULTS["control.supply.min_pct"], _DEFAULTS["control.supply.max_pct"]
RATE_PCT_PER_S = _DEFAULTS["control.supply.rate_pct_per_s"]
"""Defaults of the loop without `cooling`: %/K, s, %, %, %/s."""
_BAND_K = 0.5

CASES: dict[str, tuple[float, ...]] = {
    "nothing": (1.0, 1.0, 1.0),
    "UA -30 %": (0.7, 1.0, 1.0),
    "UA +30 %": (1.3, 1.0, 1.0),
    "flow -20 %": (1.0, 0.8, 1.0),
    "flow +20 %": (1.0, 1.2, 1.0),
    "delay x 2": (1.0, 1.0, 2.0),
    "flow meter -20 %": (1.0, 1.0, 1.0, 0.8),
    "flow meter +20 %": (1.0, 1.0, 1.0, 1.2),
    "UA -30, flow -20, delay x 2": (0.7, 0.8, 2.0),
    "UA -30, flow +20, delay x 2": (0.7, 1.2, 2.0),
    "UA +30, flow -20, delay x 2": (1.3, 0.8, 2.0),
    "UA +30, flow +20, delay x 2": (1.3, 1.2, 2.0),
}
"""Differences: factors of UA, of facility water with an open valve, of pipe volume, and of the
reading of the secondary flow meter."""

Controller = Callable[[ControlReadings], float]


def settings() -> dict[str, Any]:
    """Return the settings of the law: the design of the plant, independent of the case."""
    p = PlantParameters()
    return {
        "exchanger": {
            "ua_kw_k": p.hx_ua_kw_k,
            "tcs_lpm": p.tcs_design_lpm,
            "fws_lpm": p.hx_fws_design_lpm,
            "tcs_j_lk": 4008.0,
            "fws_j_lk": 4168.0,
            "fws_open_lpm": p.fws_open_lpm,
            "rangeability": p.valve_rangeability,
            "authority": p.valve_authority,
        },
        "supply": {
            "setpoint_c": SETPOINT_C,
            "low_c": 20.0,
            "high_c": 45.0,
            "min_pct": MIN_PCT,
            "max_pct": MAX_PCT,
            "rate_pct_per_s": RATE_PCT_PER_S,
            "lag_s": 4.0,
        },
    }


def _error(readings: ControlReadings) -> float:
    return (readings.supply_c or 0.0) - SETPOINT_C


def coldloop_model(start: float) -> Controller:
    """Make the law with the model, with the deadband of `agent.control.loop.supply_feedforward`."""
    cooling = CoolingControl(settings())
    cooling.track_valve(start)
    command_pct, rising = start, True

    def step(readings: ControlReadings) -> float:
        nonlocal command_pct, rising
        cooling.step_valve(readings, 1.0)
        move = cooling.valve_pct - command_pct
        least = 0.5 if (move > 0) == rising else 1.0
        if abs(move) >= least:
            command_pct, rising = cooling.valve_pct, move > 0
        return command_pct

    return step


def pi_loop(
    start: float, gain: float = GAIN_PCT_PER_K, integral_s: float = INTEGRAL_S
) -> Controller:
    """Make the loop of a configuration without a model."""
    pi = PiController(gain, integral_s, MIN_PCT, MAX_PCT, RATE_PCT_PER_S)
    pi.track(start)
    command_pct = start

    def step(readings: ControlReadings) -> float:
        nonlocal command_pct
        wanted = pi.step(_error(readings), 1.0)
        command_pct = wanted if abs(wanted - command_pct) >= 0.5 else command_pct
        return command_pct

    return step


def phosphor(start: float) -> Controller:
    """Make `pid()` of pid.cpp with PI and slew limits; its error has the opposite sign."""
    p, i = -GAIN_PCT_PER_K, -GAIN_PCT_PER_K / INTEGRAL_S
    integral, last = start, start

    def step(readings: ControlReadings) -> float:
        nonlocal integral, last
        error = -_error(readings)
        proportional = p * error
        integral = min(max(integral + error * i, MIN_PCT), MAX_PCT)
        output = min(max(proportional + integral, MIN_PCT), MAX_PCT)
        slewed = min(max(output, last - RATE_PCT_PER_S), last + RATE_PCT_PER_S)
        if slewed != output:
            output = slewed
            integral = min(max(output - proportional, MIN_PCT), MAX_PCT)
        last = output
        return output

    return step


def manual(start: float) -> Controller:
    """Make the form in manuals of vendors."""
    integral = start

    def step(readings: ControlReadings) -> float:
        nonlocal integral
        error = _error(readings)
        integral = min(max(integral + error / 100.0 * 100.0 / 10.0, -100.0), 100.0)
        return min(max(error / 10.0 * 100.0 + integral, 0.0), 100.0)

    return step


def simple(start: float) -> Controller:
    """Make the controller of the library simple-pid."""
    from simple_pid import PID  # noqa: PLC0415 - a peer

    p, i = -GAIN_PCT_PER_K, -GAIN_PCT_PER_K / INTEGRAL_S
    pid = PID(p, i, 0.0, SETPOINT_C, sample_time=None, starting_output=start)
    pid.output_limits = (MIN_PCT, MAX_PCT)
    return lambda readings: float(pid(readings.supply_c or 0.0, dt=1.0) or 0.0)


CONTROLLERS: dict[str, Callable[[float], Controller]] = {
    "coldloop": coldloop_model,
    "coldloop PI": pi_loop,
    "phosphor": phosphor,
    "manual": manual,
    "simple-pid": simple,
}


class ControlTrial:
    """One law on one plant."""

    def __init__(
        self,
        make: Callable[[float], Controller],
        plant: PlantParameters,
        meter: float = 1.0,
        steps: tuple[tuple[int, float], ...] = STEPS,
        seed: int = 1,
    ) -> None:
        """`meter`: factor of the flow meter. `steps`: (second, kW)."""
        self.meter, self.steps = meter, steps
        self.plant = Plant(random.Random(seed), plant)
        self.controller = make(self.plant.valve.position_pct)
        self.pumps = PiController(0.2, 4.0, 25.0, 100.0, 5.0)
        self.pumps.track(70.0)
        self.supply: list[float] = []
        self.positions: list[float] = []

    def run(self, seconds: int) -> None:
        """Step law and plant."""
        plant, readings = self.plant, ControlReadings()
        for now in range(seconds):
            for step_s, kw in self.steps:
                if now == step_s:
                    plant.set_load(kw)
            plant.advance(now * SECOND)
            readings.supply_c, readings.return_c = (
                round(plant.supply_c, 1),
                round(plant.return_c, 1),
            )
            readings.fws_supply_c, readings.flow_lpm = (
                round(plant.fws_c, 2),
                round(self.meter * plant.flow_lpm, 1),
            )
            readings.valve_pct = round(plant.valve.position_pct, 2)
            readings.fws_flow_lpm = round(plant.fws_flow_lpm, 1)
            plant.valve.command(round(self.controller(readings), 2))
            kpa = round(plant.supply_kpa, 1) - round(plant.return_kpa, 1)
            plant.pumps[0].command(self.pumps.step(80.0 - kpa, 1.0), 20.0)
            self.supply.append(plant.supply_true_c)
            self.positions.append(plant.valve.position_pct)

    def figures(self) -> dict[str, Any]:
        """Return settling time after each step, largest deviations, travel of the valve."""
        settle, over, under = 0.0, 0.0, 0.0
        started_at = [at for at, _ in self.steps if at < len(self.supply)]
        for begin, end in pairwise([*started_at, len(self.supply)]):
            part = [c - SETPOINT_C for c in self.supply[begin:end]]
            outside = [i for i, k in enumerate(part) if abs(k) > _BAND_K]
            last = outside[-1] + 1 if outside else 0
            settle = max(settle, float("inf") if last > len(part) - 60 else float(last))
            over, under = max(over, *part), max(under, -min(part))
        tail = self.supply[-600:]
        moves = [b - a for a, b in pairwise(self.positions) if b != a]
        turns = sum((a > 0) != (b > 0) for a, b in pairwise(moves))
        return {
            "settle_s": None if settle == float("inf") else settle,
            "over_k": round(over, 2),
            "under_k": round(under, 2),
            "steady_k": round(max(tail) - min(tail), 2),
            "travel_pct": round(sum(abs(m) for m in moves)),
            "reversals": turns,
        }


def trial(controller: str, case: str, seconds: int = SECONDS) -> dict[str, Any]:
    """Run one law in one case; return its figures."""
    ua, flow, delay, *meter = CASES[case]
    p = PlantParameters()
    changed = PlantParameters(
        start_it_kw=30.0,
        start_supply_c=SETPOINT_C,
        hx_ua_kw_k=p.hx_ua_kw_k * ua,
        fws_open_lpm=p.fws_open_lpm * flow,
        supply_pipe_l=p.supply_pipe_l * delay,
        return_pipe_l=p.return_pipe_l * delay,
    )
    control_trial = ControlTrial(CONTROLLERS[controller], changed, meter[0] if meter else 1.0)
    control_trial.run(seconds)
    return {"law": controller, "wrong": case, **control_trial.figures()}


STEP = """
import gc, sys, time
sys.path.insert(0, ".")
from agent.control.law.cooling import ControlReadings, CoolingControl
from benchmarks.control_settings import SETTINGS
cooling, readings = CoolingControl(SETTINGS), ControlReadings()
cooling.track_valve(45.0)
readings.flow_lpm, readings.dp_kpa = 150.0, 80.0
readings.valve_pct, readings.fws_supply_c = 45.0, 24.0
def run(n):
    for i in range(n):
        readings.supply_c, readings.return_c = 32.0 + (i % 3) / 10, 38.0 + (i % 7) / 10
        cooling.optimise(readings, i * 1000000)
        cooling.ramp_setpoint(i * 1000000, 1.0)
        cooling.step_valve(readings, 1.0)
        cooling.step_fans(readings, 1.0)
clock = getattr(time, "ticks_us", None) or (lambda: time.perf_counter_ns() // 1000)
run(100)
best = None
for _ in range(5):
    start = clock()
    run(2000)
    us = (clock() - start) / 2000
    best = us if best is None or us < best else best
gc.collect()
allocated = 0
if hasattr(gc, "mem_alloc"):
    before = gc.mem_alloc(); gc.disable(); run(50); allocated = (gc.mem_alloc() - before) // 50
print(best, allocated)
"""


def steps() -> list[dict[str, Any]]:
    """Measure one step of all laws without dew point and optimiser, on both interpreters."""
    result = []
    program = STEP.replace(
        "from benchmarks.control_settings import SETTINGS", f"SETTINGS = {settings()!r}"
    )
    for name, command in (
        ("cpython", [sys.executable, "-c", program]),
        ("micropython", ["micropython", "-X", "heapsize=256wK", "-c", program]),
    ):
        try:
            run = subprocess.run(
                command, capture_output=True, text=True, check=True, cwd=common.ROOT
            )
        except FileNotFoundError:
            continue
        us, heap_bytes = run.stdout.split()
        result.append({"dut": name, "us": round(float(us), 1), "bytes_made": int(heap_bytes)})
    return result


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--law", choices=sorted(CONTROLLERS), action="append")
    parser.add_argument("--case", choices=sorted(CASES), action="append")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--steps", action="store_true", help="also measure the cost of a step")
    arguments = parser.parse_args()
    trials = []
    for case in arguments.case or CASES:
        for law in arguments.law or CONTROLLERS:
            common.progress(f"{law}, wrong: {case}")
            trials.append(trial(law, case, arguments.seconds))
    record: dict[str, Any] = {"machine": common.describe_machine(), "trials": trials}
    if arguments.steps:
        record["steps"] = steps()
    show(record, arguments.json)
    return 0


def show(record: dict[str, Any], as_json: bool) -> None:
    """Print the record."""
    trials = record["trials"]
    head = ["wrong", "law", "settle s", "over K", "under K", "steady K", "travel %", "reversals"]
    rows = [
        [t["wrong"], t["law"]]
        + ["never" if t["settle_s"] is None else f"{t['settle_s']:.0f}"]
        + [t[k] for k in ("over_k", "under_k", "steady_k", "travel_pct", "reversals")]
        for t in trials
    ]
    common.show(record, as_json, head, rows)
    for step in [] if as_json else record.get("steps", []):
        print(f"a step on {step['dut']}: {step['us']} µs, {step['bytes_made']} bytes allocated")


if __name__ == "__main__":
    sys.exit(main())
