# SPDX-License-Identifier: Apache-2.0
"""The guarded step test of one loop: a step of the output, the response, the old words, again.

Does not compute gains (`step_response`) and does not ask (`loop_tuning`). The output moves by a few
percent and back. Each sample checks the limits: an alarm of a device of the site, a value or an
alarm register that is unknown, a value too far from its start, a supply that is too warm, an output
that another master has changed. Then the test ends immediately. The old words are written back in
each case, also after SIGINT, SIGTERM and SIGHUP, as in `hil.tools.commission.outputs.write_test`.
"""

import statistics
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from drivers.errors import PortError
from drivers.tools.terminal.end_signals import deferred_end_signals
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.outputs.pending import INTENDED, OldWords, count_range, make_old_words
from hil.tools.commission.outputs.way_back import restore
from hil.tools.commission.outputs.write_test import (
    DONE,
    FAILED,
    LEFT,
    REFUSED,
    find_range,
    find_refusal,
    way_back,
    write_count,
)
from hil.tools.commission.tuning.step_response import (
    DisturbanceError,
    Process,
    Sample,
    TuningError,
    fit_process,
    is_settled,
    mean_process,
)

_PERIOD_S, _BASE_S, _LEAST_S = 0.2, 4.0, 5.0
_MOST_MISSING = 5  # samples in a row
_SUPPLY = "SupplyTemperatureCelsius"


class _AlarmError(TuningError):
    """An alarm is on. After the step it has failed the test: the step can have brought it."""


class LoopLimits(NamedTuple):
    """Limits of a test: step, percent; changes of the value in its unit; times of one step, s.

    `answer_s`: without a change within this time the test ends.
    """

    step_pct: float
    least_change: float
    largest_change: float
    answer_s: float
    longest_s: float
    unit: str


class StepResult(NamedTuple):
    """Result of a step test. `samples`: time since the start, s, output, percent, and value.

    `is_disturbed`: the value also changed by itself, so a later test can succeed.
    """

    state: str
    reason: str
    process: Process | None
    samples: list[tuple[float, float, float]]
    is_disturbed: bool = False


def is_disturbance(failure: Exception) -> bool:
    """Return whether a later test can succeed."""
    return isinstance(failure, DisturbanceError)


class StepTest:
    """A test of the output `point` of `actuator`; the value is the sum of `signs` of `sensor`."""

    def __init__(
        self,
        actuator: DeviceAccess,
        point: str,
        sensor: DeviceAccess,
        points: dict[str, float],
        limits: LoopLimits,
        supply_max_c: float,
        beside: Iterable[DeviceAccess] = (),
    ) -> None:
        """`beside`: the other devices of the site, whose alarms end the test, too."""
        self._beside = [access for access in beside if access.has_alarms()]
        self.actuator, self.sensor = actuator, sensor
        self.points, self.limits = points, limits
        self.supply_max_c = supply_max_c
        self.samples: list[tuple[float, float, float]] = []
        self._index = actuator.device.point_index(point)
        self._point = actuator.profile.points[self._index]
        self._started_s = time.monotonic()
        self._before = self._count = 0
        self._start = self._noise = 0.0
        self._missing = 0

    def run(self, keep: Callable[[str, OldWords], None]) -> StepResult:
        """Run the test. `keep` gets the states of the output; see `run_write_test`."""
        self._poll()
        for access in self._beside:
            access.poll()
        reason = find_refusal(self.actuator, self._index)
        point = self._point
        words, error = self.actuator.read_words(point.function, point.address, point.registers)
        if reason or error:
            return StepResult(REFUSED, reason or error, None, [])
        self._before = self._count = self.actuator.device.readings[self._index].raw
        target = self._target()
        process, is_disturbed = None, False
        try:
            self._measure_base()
        except (TuningError, PortError) as failure:
            return StepResult(REFUSED, str(failure), None, self.samples, is_disturbance(failure))
        ours = [find_range(self._before, target)]
        old = make_old_words(point, words, ours, [count_range(self._before), count_range(target)])
        keep(INTENDED, old)
        with way_back(self.actuator, old, keep) as problems:
            try:
                process = self._step_and_back(target, old)
                state, reason = DONE, ""
            except TuningError as failure:
                state = FAILED if isinstance(failure, _AlarmError) else REFUSED
                reason, is_disturbed = str(failure), is_disturbance(failure)
            except PortError as failure:
                state, reason = FAILED, str(failure)
        if problems:
            reason = f"the old value is not back: {problems[0]}"
            return StepResult(LEFT, reason, None, self.samples)
        return StepResult(state, reason, process, self.samples, is_disturbed)

    def _target(self) -> int:
        """Return the count of the step: up, or down at the upper limit."""
        low, high = self._point.limits or (self._before, self._before)
        step = max(1, self.actuator.device.to_count(self._index, self.limits.step_pct))
        target = self._before + step if self._before + step <= high else self._before - step
        return max(low, min(high, target))

    def _measure_base(self) -> None:
        """Measure the value before the step. Raises `DisturbanceError` if it drifts."""
        base = self._collect(_BASE_S, lambda _: False)
        values = [value for _, value in base]
        half = len(values) // 2
        self._start = statistics.fmean(values[half:])
        drift = abs(self._start - statistics.fmean(values[:half]))
        self._noise = statistics.pstdev(values) if len(values) > 1 else 0.0
        if drift > self.limits.least_change / 2.0:
            raise DisturbanceError(f"the value drifts by {drift:.2f} {self.limits.unit}; wait")

    def _step_and_back(self, target: int, old: OldWords) -> Process:
        scale = self._point.numerator / self._point.denominator
        step_pct = (target - self._before) * scale
        state, reason = write_count(self.actuator, target, old)
        if state != DONE:
            raise TuningError(reason)
        self._count = target
        there, samples = self._respond(self._start, step_pct)
        with deferred_end_signals():
            problem = restore(self.actuator, old)
        if problem:
            raise TuningError(problem)
        self._count = self._before
        turned = statistics.fmean(value for _, value in samples[-5:])
        back, _ = self._respond(turned, -step_pct)
        return mean_process(there, back)

    def _respond(self, start: float, step_pct: float) -> tuple[Process, list[Sample]]:
        """Sample one response until it has settled; return its process and samples."""
        limits, least = self.limits, max(self.limits.least_change, 3.0 * self._noise)

        def is_over(samples: list[Sample]) -> bool:
            at_s, value = samples[-1]
            if at_s < _LEAST_S:
                return False
            if abs(value - start) < least:
                return at_s >= limits.answer_s
            return is_settled(start, samples, self._noise)

        samples = self._collect(limits.longest_s, is_over)
        process = fit_process(start, samples, step_pct, limits.least_change, self._noise)
        if not is_settled(start, samples, self._noise):
            raise DisturbanceError(f"the value has not settled within {limits.longest_s:.0f} s")
        return process, samples

    def _collect(self, longest_s: float, is_over: Callable[[list[Sample]], bool]) -> list[Sample]:
        """Sample the value until `is_over` or `longest_s`. Raises `TuningError` at a limit."""
        started_s, samples = time.monotonic(), list[Sample]()
        scale = self._point.numerator / self._point.denominator
        while not samples or samples[-1][0] < longest_s:
            self._poll()
            value = self._value()
            now_s = time.monotonic()
            unknown = self._check_alarms() or ("the value is not known" if value is None else "")
            if value is None or unknown:
                self._missing += 1
                if self._missing > _MOST_MISSING:
                    raise TuningError(unknown)
            else:
                self._missing = 0
                samples.append((now_s - started_s, value))
                self.samples.append((now_s - self._started_s, self._count * scale, value))
                self._check(value)
                if is_over(samples):
                    break
            time.sleep(_PERIOD_S)
        return samples

    def _poll(self) -> None:
        self.actuator.poll()
        if self.sensor is not self.actuator:
            self.sensor.poll()
        if self._beside:  # one in each sample: a slow line must not slow down the samples
            self._beside[0].poll()
            self._beside.append(self._beside.pop(0))

    def _value(self) -> float | None:
        """Return the measured value; None if a part of it is not good."""
        found = self.sensor.good_values()
        if not all(name in found for name in self.points):
            return None
        return sum(sign * found[name] for name, sign in self.points.items())

    def _check_alarms(self) -> str:
        """Raise `TuningError` if an alarm is on; return why alarms are not known."""
        unknown = ""
        for access in (self.actuator, self.sensor, *self._beside):
            if access.device.active_alarm_bits():
                raise _AlarmError(access.alarm_problem())
            unknown = unknown or access.alarm_problem()
        return unknown

    def _check(self, value: float) -> None:
        """Raise `TuningError` if the test must end."""
        supply_c = self.sensor.good_values().get(_SUPPLY)
        if supply_c is not None and supply_c > self.supply_max_c:
            raise TuningError(
                f"the supply has {supply_c:.1f} °C, and {self.supply_max_c:g} is the limit"
            )
        start = self._start or value
        if abs(value - start) > self.limits.largest_change:
            raise TuningError(
                f"the value is {abs(value - start):.1f} {self.limits.unit} from its start"
            )
        reading = self.actuator.device.readings[self._index]
        if reading.quality == "good" and not self.actuator.device.readback_matches(
            [(self._index, self._count)]
        ):
            raise TuningError("another master has changed the output")
