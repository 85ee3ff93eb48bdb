"""One life of the bench under the page: free, or through one scenario.

Not the desk that decides which comes next (`hil.page.session_manager`), and not the judge. It runs in the
bench's thread: frames at 10 Hz, judge and state once a second. A free session ends only when it is
told to.
"""

from typing import Any

from hil.bench.testbed import SITE_E7
from hil.bench.testbed_settings import Setting
from hil.devices.gnss.basic_sky import Sky
from hil.errors import BenchError
from hil.fault.registry import EVENTS
from hil.measure.registry import MEASURES, read
from hil.page.curves import values
from hil.page.hub import Hub
from hil.report.next_steps import next_step
from hil.run.real_bench import RealBench
from hil.run.recorded import Recorded
from hil.run.virtual import Outcome
from hil.scenario.channels import Series, channels
from hil.scenario.judge import Judge
from hil.scenario.model import Event, Scenario
from hil.scenario.semantic_check import problem
from hil.scenario.timeline import schedule

_SECOND = 1_000_000
_FRAME = _SECOND // 10


class Session:
    """Runs a bench; `scenario` None: free. `active` are the fault words that are on."""

    def __init__(self, bench: RealBench, hub: Hub, scenario: Scenario | None, seed: int) -> None:
        self.bench = bench
        self.scenario = scenario
        self.seed = seed
        self.status: dict[str, Any] | None = None
        self.seconds = 0
        self.active: dict[str, float | None] = {}
        self.answers: list[dict[str, Any]] = []
        self.asking: dict[str, Any] | None = None
        self._to_ask: list[dict[str, Any]] = []
        self.aborted = False
        self._hub = hub
        self._frames = 0
        self._judge = Judge(scenario) if scenario is not None else None
        pumps = scenario.row.pumps if scenario is not None else Setting().pumps
        self._series = Series(channels(pumps))
        latitude, longitude = (e / 1e7 for e in SITE_E7)
        self._sky = Sky(latitude, longitude, bench.world.random("page/sky"))

    def run(self, dut: str) -> None:
        """Run to the end of the scenario, or until the shell is stopped.

        A scenario begins with the agent's first word (as in `hil.run.real`), and does not end before
        all that was asked is answered.
        """
        bench, shell = self.bench, self.bench.shell
        self.begin()
        bench.start_agent(dut, bench.folder / "agent.log")
        if self.scenario is None:
            shell.run()
            return
        while self.status is None and self._goes_on():
            shell.run(shell.now() + _FRAME)
        if self._goes_on():
            shell.run(self._schedule(self.scenario))
        while self.asking is not None and self._goes_on():
            shell.run(shell.now() + _FRAME)

    def _goes_on(self) -> bool:
        return not self.aborted and not self.bench.shell.stopped

    def _schedule(self, scenario: Scenario) -> int:
        """Let the scenario begin now; give the world's time at which it ends."""
        world, start = self.bench.world, self.bench.shell.now()
        schedule(scenario, self.bench.row, start)
        for prompt in scenario.prompts:
            world.at(start + int(prompt.at_s * _SECOND), self._ask, prompt.text, prompt.ask)
        for second in range(1, int(scenario.seconds) + 1):
            world.at(start + second * _SECOND, self._second)
        return start + int(scenario.seconds * _SECOND) + _SECOND // 2

    def begin(self) -> None:
        """Begin to take frames."""
        self.bench.world.at(self.bench.world.now + _FRAME, self._frame)

    def _frame(self) -> None:
        self._frames += 1
        whole = self._frames % 10 == 0
        if whole:
            self._look()
            if self.scenario is None:
                self._second()
        self._hub.frame(self._frames / 10, values(self.bench.row, self.status), whole)
        self.bench.world.at((self._frames + 1) * _FRAME, self._frame)

    def _look(self) -> None:
        code = self.bench.agent_ended()
        if code is not None:
            raise BenchError(f"the agent ended with {code} after {self.seconds} s")
        self.status = self.bench.status()

    def _second(self) -> None:
        """Judge a second of the scenario, or of a free bench."""
        self.seconds += 1
        self.status = self.bench.status()
        if self._judge is not None:
            self._judge.sample(self.seconds, self._read)
        self._series.sample(self.seconds, self._read)

    def _read(self, name: str) -> float | None:
        return read(self.bench.row, self.status, name)

    def _ask(self, text: str, how: str) -> None:
        """Ask; what is still asked comes first."""
        question = {"text": text, "ask": how, "at_s": self.seconds}
        if self.asking is None:
            self.asking = question
        else:
            self._to_ask.append(question)

    def answer(self, text: str, operator: str) -> None:
        """Take the technician's answer; `no` makes the run fail."""
        if self.asking is None:
            raise BenchError("nothing was asked")
        asked, self.asking = self.asking, self._to_ask.pop(0) if self._to_ask else None
        row = {"at_s": asked["at_s"], "text": asked["text"], "answer": text[:200]}
        self.answers.append({**row, "by": operator or "technician"})

    def fault(self, name: str, value: float | None, on: bool) -> None:
        """Do or undo a word of `hil.fault.registry`; raises BenchError for one that cannot be."""
        word = EVENTS.get(name)
        if word is None:
            raise BenchError(f"{name}: no such fault")
        if not on:
            if word.undo is not None:
                word.undo(self.bench.row)
            self.active.pop(name, None)
            return
        self._check(name, value)
        word.do(self.bench.row, value if value is not None else 0.0)
        if word.undo is not None:
            self.active[name] = value

    def _check(self, name: str, value: float | None) -> None:
        row = self.scenario.row if self.scenario is not None else Setting()
        wrong = problem(Scenario("page", "page", 10, row, (Event(0, name, value),)))
        if wrong is not None:
            raise BenchError(f"{name}: {wrong[1]}")

    def sky(self) -> list[list[Any]]:
        """Give the satellites over the site: system, number, elevation, azimuth, dBHz."""
        loss = float(getattr(self.bench.row.receiver, "jam_db", 0.0))
        seen = self._sky.visible(self.bench.world.utc(self.bench.world.now) // _SECOND, 5.0, loss)
        return [[s.system, s.number, s.elevation, s.azimuth, s.cn0] for s in seen]

    def findings(self) -> list[dict[str, Any]]:
        """Give the expectations as they stand: limits, worst so far, verdict so far."""
        if self._judge is None or self.scenario is None:
            return []
        rows = []
        for expect, finding in zip(self.scenario.expectations, self._judge.findings(), strict=True):
            begun = self.seconds >= expect.from_s
            row = {
                "measure": finding.measure,
                "unit": finding.unit,
                "limits": finding.limits,
                "window": finding.window,
                "min": expect.min,
                "max": expect.max,
                "band": expect.marginal,
                "about": MEASURES[finding.measure.partition(":")[0]].about,
                "worst": finding.worst,
                "worst_at_s": finding.worst_at_s,
                "value": self._read(finding.measure) if self.status is not None else None,
                "verdict": finding.verdict if begun and finding.worst is not None else "waiting",
                "next": next_step(finding.measure) if finding.failure else "",
            }
            rows.append(row)
        return rows

    def recorded(self, dut: str) -> Recorded:
        """Give the run for the record; what was asked and not confirmed is a failure."""
        scenario, judge = self.scenario, self._judge
        if scenario is None or judge is None:
            raise BenchError("a free bench has nothing to record")
        for asked in ([self.asking] if self.asking is not None else []) + self._to_ask:
            row = {"at_s": asked["at_s"], "text": asked["text"], "answer": None, "by": "nobody"}
            self.answers.append(row)
        refused = [
            f"asked: {a['text']}: {a['answer']}"
            for a in self.answers
            if a["answer"] in (None, "no")
        ]
        outcome = Outcome(
            scenario.name,
            self.seed,
            dut,
            (*(["aborted"] if self.aborted else []), *judge.failures(), *refused),
            None,
            float(self.seconds),
            max(self.bench.shell.now() / _SECOND, 0.001),
        )
        config = self.bench.config()
        return Recorded(scenario, outcome, judge.findings(), self._series, [], config, self.answers)
