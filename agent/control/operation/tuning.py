# SPDX-License-Identifier: Apache-2.0
"""Command `autotune`: permissives, claim of the valve, and the proposal in the status.

Does not measure; see `agent.control.watch.autotune`, which is loaded only while a test runs. The
command is rejected during an alarm, an operating mode or a proof test, and away from the set-point;
`agent.remote.command_table` rejects it during a trial. `valve_cycling` and `valve_travel` do not
reject it: their action is this command.

Arguments: `step_pct` (1 to 5, default 3), or `stop` to end a test.
"""

from agent.core.actuator import EXACT, PROOF, VALVE
from agent.core.errors import CommandError
from agent.core.json_writer import JsonObject
from protocols.rounding import round_half_away

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.control_context import ControlContext
    from agent.control.law.cooling import ControlReadings, CoolingControl
    from agent.control.operation.manual import ManualControl
    from agent.control.watch.autotune import Autotune

_START_ERROR_K = 5 / 10
_LEAST_STEP, _MOST_STEP = 1, 5
_ALLOWED = ("valve_cycling", "valve_travel")
_OWNER = "autotune"
_MODULES = ("agent.control.watch.autotune", "agent.control.watch.relay_test")


class LoopTuning:
    """The tests of one unit. `result`: of the last test; empty before the first."""

    def __init__(
        self,
        agent: "ControlContext",
        settings: "dict[str, Any]",
        readings: "ControlReadings",
        manual: "ManualControl",
        cooling: "CoolingControl | None",
    ) -> None:
        self.agent, self.readings, self.manual = agent, readings, manual
        self.result = ""
        self.proposals: list[str] = []
        self.measured: tuple[float, float] = (0.0, 0.0)
        self._settings, self._cooling = settings, cooling
        self._test: Autotune | None = None

    @property
    def is_running(self) -> bool:
        """Whether a test runs."""
        return self._test is not None

    def handle_command(self, arguments: "Any") -> str:
        """Start or stop a test. Raises `CommandError` if a permissive is absent."""
        if arguments.get("stop"):
            if self._test is None:
                raise CommandError("no test runs")
            self._test.stop("stopped")
            return "autotune stops"
        if self._test is not None:
            raise CommandError("a test runs")
        self._check_permissives()
        if self._cooling is not None:
            return self._propose_model(self._cooling)
        return self._start(arguments.get("step_pct", 3))

    def _check_permissives(self) -> None:
        if self.manual.mode != "auto" or self.manual.proofs.running:
            raise CommandError("only in the mode auto, without a proof test")
        alarm = self._alarm()
        if alarm:
            raise CommandError("not during an alarm: " + alarm)
        error_k = self._error_k()
        if error_k is None or not -_START_ERROR_K < error_k < _START_ERROR_K:
            raise CommandError("the supply is not at its set-point")
        decision = self.agent.arbiters[VALVE].decision
        if decision is None or not decision.is_loop or self.agent.supply_loop.at_fail_safe:
            raise CommandError("the loop does not control the valve")

    def _alarm(self) -> str:
        """Return the code of the first active alarm that forbids a test; empty: none."""
        for alarm in self.agent.alarms.active:
            if alarm.record.code not in _ALLOWED:
                return alarm.code
        return ""

    def _error_k(self) -> "float | None":
        supply_c = self.readings.supply_c
        return None if supply_c is None else supply_c - self.agent.supply_loop.setpoint

    def _propose_model(self, cooling: "CoolingControl") -> str:
        """Propose the learned model. A loop with a model has no gains of the configuration."""
        from agent.control.watch.autotune import model_proposals  # noqa: PLC0415 - rare

        model = cooling.exchanger
        flow_factor = model.valve_flow_factor * sum(model.shape) / len(model.shape)
        self.proposals = model_proposals(self._settings["exchanger"], model.ua_factor, flow_factor)
        self.result = "done"
        self._drop_modules()
        return "proposes the learned model; see the status"

    def _start(self, step_pct: "Any") -> str:
        loop = self.agent.supply_loop
        position = self.agent.valve.position()
        if type(step_pct) is not int or not _LEAST_STEP <= step_pct <= _MOST_STEP:
            raise CommandError("step_pct: %d to %d" % (_LEAST_STEP, _MOST_STEP))
        if position is None:
            raise CommandError("the valve's position is not known")
        low, high = loop.config.min_pct, loop.config.max_pct
        if not low <= position - step_pct or not position + step_pct <= high:
            raise CommandError("the valve is too near to an end of its range")
        from agent.control.watch.autotune import Autotune  # noqa: PLC0415 - rare

        self._test = Autotune(position, float(step_pct), loop.config)
        self.result, self.proposals = "running", []
        return "relay test of %d %% begun; see the status" % step_pct

    def step(self, dt: float) -> None:
        """Claim the valve for a test; called once a cycle."""
        test = self._test
        if test is None:
            return
        agent = self.agent
        decision = agent.arbiters[VALVE].decision
        alarm = self._alarm()
        if alarm:
            test.stop("alarm " + alarm)
        if self.manual.mode != "auto":
            test.stop("mode " + self.manual.mode)
        holder = "" if decision is None else decision.owner
        output = test.step(self._error_k(), holder, agent.supply_loop.config, dt)
        if output is not None:
            agent.arbiters[VALVE].claim(PROOF, _OWNER, EXACT, output, "relay test")
            return
        self.result, self.proposals, self._test = test.ended, test.proposals, None
        self.measured = (test.relay.amplitude_k, test.relay.period_s)
        self._drop_modules()

    def _drop_modules(self) -> None:
        from agent.core.module_unload import drop_modules  # noqa: PLC0415 - rare

        drop_modules(_MODULES)

    def status(self) -> "list[tuple[str, object]]":
        """Return result and proposal of the last test; empty before the first."""
        if not self.result:
            return []
        amplitude_k, period_s = self.measured
        fields: list[tuple[str, object]] = [
            ("state", self.result),
            ("propose", self.proposals),
            ("amplitude_milli_k", round_half_away(1000 * amplitude_k)),
            ("period_ms", round_half_away(1000 * period_s)),
        ]
        return [("autotune", JsonObject(fields))]
