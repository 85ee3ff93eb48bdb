# SPDX-License-Identifier: Apache-2.0
"""Automatic tuning of the supply loop on request: a relay test, and a proposal for its gains.

Does not change a gain: the status shows the proposal as changes, and an operator signs them like
each other change. The module is loaded with the command `autotune` and dropped after the test.

A loop without a model gets a relay test (`relay_test`): the valve moves by `step_pct` around its
present position until three cycles are measured. The test ends without a proposal if

- the supply is more than `_MAX_ERROR_K` from the set-point, or unknown,
- an alarm is raised, a mode or another claimant gets the valve, the configuration changes,
- it takes longer than `_MAX_S`, or an operator stops it.

A loop with a model needs no test: it has learned its exchanger and its valve in operation. The
proposal is the design value times the learned factor.
"""

from agent.control.watch.relay_test import RelayTest
from protocols.rounding import round_half_away

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_ERROR_K = 15 / 10
_MAX_S = 900.0
_GAIN_MILLI = (100, 50_000)
_INTEGRAL_MILLI = (5_000, 3_600_000)
OWNER = "autotune"


class Autotune:
    """One relay test. `ended`: why it has ended; empty while it runs. `proposals`: its result."""

    def __init__(self, centre: float, step_pct: float, config: "Any") -> None:
        self.ended = ""
        self.proposals: list[str] = []
        self.relay = RelayTest(centre, step_pct)
        self._config = config
        self._elapsed_s = 0.0

    def step(
        self, error_k: "float | None", holder: str, config: "Any", dt: float
    ) -> "float | None":
        """Add a cycle: error, K; owner of the last output; tuning in force. Return the position,
        percent; None: the test has ended.
        """
        self._elapsed_s += dt
        if error_k is None:
            self.stop("the supply is unknown")
        elif not -_MAX_ERROR_K < error_k < _MAX_ERROR_K:
            self.stop("the supply is too far from the set-point")
        elif config is not self._config:
            self.stop("the configuration has changed")
        elif holder != OWNER and self._elapsed_s > dt:
            self.stop("the valve belongs to " + holder)
        elif self._elapsed_s > _MAX_S:
            self.stop("no oscillation in %d s" % int(_MAX_S))
        if self.ended or error_k is None:
            return None
        output = self.relay.step(error_k, dt)
        if not self.relay.done:
            return output
        gain = _limited(self.relay.gain, _GAIN_MILLI)
        integral = _limited(self.relay.integral_s, _INTEGRAL_MILLI)
        self.proposals = [
            "control.supply.gain_pct_per_k=" + gain,
            "control.supply.integral_s=" + integral,
        ]
        self.stop("done")
        return None

    def stop(self, reason: str) -> None:
        """End the test; the first reason stays."""
        if not self.ended:
            self.ended = reason


def model_proposals(model: "dict[str, Any]", ua_factor: float, flow_factor: float) -> "list[str]":
    """Return the changes of a model with learned factors that differ by more than 3 %."""
    found = []
    for key, factor in (("ua_kw_k", ua_factor), ("fws_open_lpm", flow_factor)):
        if not 97 / 100 < factor < 103 / 100:
            value = _decimal(round_half_away(1000 * model[key] * factor))
            found.append("cooling.exchanger.%s=%s" % (key, value))
    return found


def _limited(value: float, limits: "tuple[int, int]") -> str:
    milli = round_half_away(100 * value) * 10
    return _decimal(limits[0] if milli < limits[0] else min(milli, limits[1]))


def _decimal(milli: int) -> str:
    return "%d.%03d" % (milli // 1000, milli % 1000)
