"""A campaign: scenarios drawn by chance, each judged by invariants; what fails is kept and shrunk.

Not a scenario: nobody wrote down what happens. From a seed, `draw` makes a scenario of an hour (or
as long as asked) with faults of `hil.campaign.words`; the last is over 4 minutes before the end.
Safety: the invariants hold all the time. Liveness: at the end all is as if nothing had happened.
The same seed is the same scenario and the same run, on any machine and interpreter, so a failure's
replay line is its seed; the scenario is written as a file too, since the words may change with the
version.
"""

import platform
import random
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any

from hil.bench.testbed_settings import Setting
from hil.campaign import control_only, nth_failure
from hil.campaign.cluster import spread
from hil.campaign.words import DEW, DRAWN, LIVENESS, SAFETY, Draw
from hil.devices.gnss.dialects import DIALECTS
from hil.errors import BenchError
from hil.fault.registry import EVENTS
from hil.record.record import sha256
from hil.run.recorded import DUTS
from hil.run.virtual import VirtualRun
from hil.scenario.model import Event, Scenario
from hil.scenario.toml_writer import text_of, written

SECONDS = 3600
LEAST_S = 600
_FIRST_S, _QUIET_S = 30, 240
_MOST_EVENTS = 12


def draw(seed: int, seconds: int = SECONDS) -> Scenario:
    """Draw the scenario of a seed, `seconds` long (600 or more)."""
    chance = random.Random(f"campaign/{seed}/{seconds}")
    chosen = chance.sample(DRAWN, chance.randint(1, _MOST_EVENTS))
    last_s = seconds - _QUIET_S
    events = sorted((_event(d, chance, last_s) for d in chosen), key=lambda e: e.at_s)
    return Scenario(
        f"campaign-{seed}",
        f"{len(events)} faults drawn with seed {seed}",
        seconds,
        _row(chosen, chance),
        tuple(events),
        SAFETY
        + ((DEW,) if any(d.humidity for d in chosen) else ())
        + tuple(replace(e, from_s=seconds - 30) for e in LIVENESS),
    )


def _row(chosen: list[Draw], chance: random.Random) -> Setting:
    """Draw the row, with all that the chosen words need."""
    dialect = any(EVENTS[d.word].needs_dialect for d in chosen)
    parts = {part for d in chosen for part in d.needs}
    return Setting(
        receiver_dialect=chance.choice(sorted(DIALECTS)) if dialect else "",
        it_kw=float(chance.randint(20, 100)),
        drift_ppm=round(chance.uniform(-5, 5), 2),
        broker_latency_ms=float(chance.randint(1, 900)),
        meters=max(d.meters for d in chosen),
        humidity_sensors=max(d.humidity for d in chosen),
        fans=max(d.fans for d in chosen),
        parts=", ".join(sorted(parts)),
    )


def _event(entry: Draw, chance: random.Random, last_s: int) -> Event:
    at = chance.randint(_FIRST_S, last_s - max(entry.longest_s, 1))
    value = None
    if entry.low is not None and entry.high is not None:
        value = round(chance.uniform(entry.low, entry.high), 2)
        if entry.whole:
            value = float(chance.randint(int(entry.low), int(entry.high)))
    lasts = float(chance.randint(1, entry.longest_s)) if entry.longest_s else None
    return Event(float(at), entry.word, value, lasts)


@dataclass
class Result:
    """How one seed came out; `text` is the scenario when it failed, where there is one.

    `options`: what else the line that repeats it needs. `digest`: of all bytes of a drawn run.
    """

    seed: int
    failures: list[str]
    virtual_s: float
    wall_s: float
    text: str = ""
    options: str = ""
    digest: str = ""

    def again(self, dut: str) -> str:
        """Write the line that repeats it."""
        return f"coldloop hil campaign --first {self.seed} --seeds 1{self.options} --dut {dut}"


def run_seed(seed: int, seconds: int = SECONDS, dut: str = "cpython") -> Result:
    """Draw and run one seed; an exception of the controller is a failure like another."""
    began = time.perf_counter()
    scenario = written(draw(seed, seconds))
    failures: list[str]
    digest = ""
    try:
        run = VirtualRun(scenario, seed, DUTS[dut])
        try:
            run.run()
            failures = run.judge.failures()
            digest = run.shell.digest.text()
        finally:
            run.dut.close()
    except BenchError as error:
        failures = [f"{type(error).__name__}: {error}"]
    except Exception as error:  # noqa: BLE001 - whatever it dies of is a finding
        where = traceback.extract_tb(error.__traceback__)[-1]
        failures = [f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"]
    text = text_of(scenario) if failures else ""
    options = f" --seconds {seconds}" if seconds != SECONDS else ""
    wall_s = time.perf_counter() - began
    return Result(seed, failures, scenario.seconds, wall_s, text, options, digest)


def run_place(nth: int, kind: str, dut: str = "cpython") -> Result:
    """Let the n-th of a kind fail (see `hil.campaign.nth_failure`); judge the recovery."""
    failures, _, wall_s = nth_failure.one(kind, nth, dut)
    text = nth_failure.text() if failures else ""
    return Result(nth, failures, nth_failure.SECONDS, wall_s, text, f" --sweep {kind}")


def run_hours(seed: int, hours: int, _: str = "cpython") -> Result:
    """Run control and plant of a seed without bytes (see `hil.campaign.control_only`)."""
    failures, wall_s = control_only.run_plant(seed, hours)
    options = f" --plant --hours {hours}"
    return Result(seed, failures, 3600.0 * hours, wall_s, "", options)


@dataclass
class Tally:
    """What a campaign has come to so far.

    Its digest does not tell in which order the seeds came, so that it is one on any machine.
    """

    seeds: int = 0
    virtual_s: float = 0.0
    failed: list[Result] = field(default_factory=list)
    came: list[str] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one."""
        self.seeds += 1
        self.virtual_s += result.virtual_s
        self.came.append(f"{result.seed:09d} {result.digest} {result.failures}\n")
        if result.failures:
            self.failed.append(result)

    def record(self, dut: str, wall_s: float) -> dict[str, Any]:
        """Give the campaign as one JSON record."""
        return {
            "seeds": self.seeds,
            "dut": dut,
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "virtual_hours": round(self.virtual_s / 3600, 2),
            "wall_s": round(wall_s, 1),
            "digest": sha256("".join(sorted(self.came)).encode()),
            "violations": len(self.failed),
            "failed": [
                {"seed": r.seed, "failures": r.failures, "again": r.again(dut)} for r in self.failed
            ],
        }


def results(
    call: Callable[..., Result], jobs: list[tuple[Any, ...]], workers: int, cluster: str | None
) -> Iterator[Result]:
    """Run `call` with each of `jobs`, as they come out: here, over cores, or on a cluster."""
    if cluster is not None:
        yield from spread(cluster, call, jobs)
        return
    if workers == 1:
        for job in jobs:
            yield call(*job)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        try:
            for done in as_completed([pool.submit(call, *job) for job in jobs]):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
