# SPDX-License-Identifier: Apache-2.0
"""Learns the characteristic of the facility water valve from a flow meter: flow over position.

Does not move the valve; `agent.control.law.exchanger` uses the result for its inverse. The model is
the design curve times a common factor times a shape factor at 0, 20 ... 100 % (linear between).

The relative error of the design curve at the present position is divided between the two: first all
of it is learned by the common factor (a valve of another size). After `_SIZE_S` of learning the
shape learns most of it: then the curve at the other positions does not move with the present one.
All factors are bounded, so a wrong flow meter cannot open or close the valve without limit.

Normalised least mean squares (Haykin, Adaptive Filter Theory, chapter 6). The curve is not stored:
after a restart it is learned again within `_ADAPT_S` at each position. A valve that is turned has
shown the opposite of its true position before: then the curve of 1 to 2 min of learning ago is
taken back.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class FlowCurve(Protocol):
        """The characteristic of the valve; see `agent.control.law.exchanger`."""

        fws_design_lpm: float
        valve_flow_factor: float
        shape: "list[float]"

        def flow_at(self, valve_pct: float) -> float:
            """Return the flow at a position, L/min."""
            ...

        def set_flow_factor(self, factor: float) -> None:
            """Set the common factor."""
            ...

        def set_shape(self, i: int, factor: float) -> None:
            """Set a shape factor."""
            ...


_ADAPT_S = 40.0
_SIZE_S = 300.0
_KEEP_S = 59.5
_COMMON = 3 / 10
_LEAST_PCT = 4.0
_LEAST_FLOW = 1 / 100
"""Of the design flow; below it a flow meter is not exact."""
_MIN_FACTOR, _MAX_FACTOR = 2 / 10, 5.0
_MIN_SHAPE, _MAX_SHAPE = 4 / 10, 25 / 10


class ValveCurve:
    """`learned_s`: seconds of learning since the start."""

    def __init__(self, exchanger: "FlowCurve") -> None:
        self.exchanger = exchanger
        self.learned_s = 0.0
        self._kept = [self._factors()] * 2
        self._kept_s = 0.0

    def forget_last(self) -> None:
        """Take back the curve of 1 to 2 min of learning ago: the last positions were false."""
        factors = self._kept[0]
        self._kept = [factors] * 2
        self.exchanger.set_flow_factor(factors[0])
        for i, factor in enumerate(factors[1:]):
            self.exchanger.set_shape(i, factor)

    def learn(self, lpm: float, position: float, dt: float) -> None:
        """Learn from a measured facility water flow, L/min, at `position` percent."""
        exchanger = self.exchanger
        model_lpm = exchanger.flow_at(position)
        least_lpm = _LEAST_FLOW * exchanger.fws_design_lpm
        if position < _LEAST_PCT or model_lpm <= 0.0 or lpm < least_lpm:
            return
        self.learned_s += dt
        self._kept_s += dt
        if self._kept_s >= _KEEP_S:
            self._kept, self._kept_s = [self._kept[1], self._factors()], 0.0
        step = dt / (dt + _ADAPT_S) * (lpm - model_lpm) / model_lpm
        step = 3 / 10 if step > 3 / 10 else -3 / 10 if step < -3 / 10 else step
        known = self.learned_s / _SIZE_S if self.learned_s < _SIZE_S else 1.0
        common = 1.0 - known * (1.0 - _COMMON)
        factor = exchanger.valve_flow_factor * (1.0 + common * step)
        if _MIN_FACTOR < factor < _MAX_FACTOR:
            exchanger.set_flow_factor(factor)
        if known < 1 / 10:
            return
        last = len(exchanger.shape) - 1
        x = position / 100.0 * last
        k = int(x) if x < last else last - 1
        part = x - k
        norm = (1.0 - part) * (1.0 - part) + part * part
        for i, weight in ((k, 1.0 - part), (k + 1, part)):
            factor = exchanger.shape[i] * (1.0 + (1.0 - common) * step * weight / norm)
            if _MIN_SHAPE < factor < _MAX_SHAPE:
                exchanger.set_shape(i, factor)

    def _factors(self) -> "list[float]":
        return [self.exchanger.valve_flow_factor] + self.exchanger.shape
