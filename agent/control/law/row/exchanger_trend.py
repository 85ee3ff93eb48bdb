# SPDX-License-Identifier: Apache-2.0
"""An exchanger that fouls within hours: both temperatures of the row may read too high.

Does not learn the exchanger and raises no alarm; `agent.control.law.feedforward` learns its UA and
`fouling` is the alarm. An equal error of the supply and of the return leaves their difference, so
the heat balance of `agent.control.law.plausibility` agrees. The exchanger then seems to transfer
less, and its UA is learned within minutes. But deposits need weeks. So a slow UA is kept, and the
difference is read as an error of the temperatures:

    return - T1 = rise / effectiveness(slow UA)     error = measured - expected return

Too high is the dangerous direction: the true supply is colder than shown. `error_k` raises the
dew-point limit, by at most `_MOST_K`; `total_k` has no such limit and is only for alarms. If the
exchanger has really lost so much, this costs some kelvin of supply temperature while the dew point
limits it. In the first `_YOUNG_S` of a steady row the slow UA follows the learned one.

`retain` gives slow UA and error for the next start. There the restored UA stays while the exchanger
learns again, so frequent restarts do not hide a drift. Until then a row that is not steady counts
too: between two restarts it can be too short for the other one. Without a store each start begins
again.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.exchanger import Exchanger
    from agent.control.law.row.readings import RowReadings

_YOUNG_S = 599.5
_MAX_DIGITS = 9
_HOURLY_FALL, _HOURLY_RISE = 1 / 200, 1 / 2
_FILTER_S = 60.0
_LEAST_RISE_K = 20 / 10
_ALLOWED_K, _MOST_K = 10 / 10, 50 / 10
_KEPT_SHARE, _KEPT_MK = 10, 250
"""A kept value follows in steps of this size: each change is a write to the flash."""


class ExchangerTrend:
    """`error_k`: how far the supply may be below its reading, beyond `_ALLOWED_K`. `total_k`: the
    same as a whole, if it is beyond, and not while the reference is young.
    """

    def __init__(self) -> None:
        self.error_k = self.total_k = 0.0
        self._slow_factor = 1.0
        self._steady_s = self._mean_k = 0.0
        self._is_known = False
        self._kept = [0, 0]

    def retain(self) -> "list[str]":
        """Return the line for the next start: slow UA and mean error, each in 1/1000."""
        if not self._is_known:
            return []
        new, old = [int(self._slow_factor * 1000), int(max(0.0, self._mean_k) * 1000)], self._kept
        if abs(new[0] - old[0]) >= _KEPT_SHARE or abs(new[1] - old[1]) >= _KEPT_MK:
            self._kept = old = new
        return ["exchanger %d %d" % tuple(old)]

    def restore(self, factor: str, error: str) -> bool:
        """Continue with the line of the last start."""
        if not (factor.isdigit() and error.isdigit()) or max(len(factor), len(error)) > _MAX_DIGITS:
            return False
        if not 0 < int(factor) < 1900:
            return False
        self._kept = [int(factor), int(error)]
        self._slow_factor, self._mean_k = int(factor) / 1000, int(error) / 1000
        self._is_known = True
        self._set_error()
        return True

    def _set_error(self) -> None:
        self.error_k = min(max(0.0, self._mean_k - _ALLOWED_K), _MOST_K)
        self.total_k = self._mean_k if self.error_k > 0.0 and self._is_known else 0.0

    def step(
        self,
        exchanger: "Exchanger",
        r: "RowReadings",
        flow: "float | None",
        dt: float,
        is_steady: bool = True,
    ) -> None:
        """Use the readings of a cycle in which nothing is suspect."""
        if not is_steady and not (self._is_known and self._steady_s < _YOUNG_S):
            return
        supply_c, return_c, fws_c, fws_lpm = r.supply_c, r.return_c, r.fws_supply_c, r.fws_flow_lpm
        if supply_c is None or return_c is None or fws_c is None or flow is None or fws_lpm is None:
            return
        rise_k = return_c - supply_c
        if rise_k < _LEAST_RISE_K or flow <= 0.0 or fws_lpm <= 0.0:
            return
        slow = self._follow(exchanger.ua_factor, dt if is_steady else 0.0)
        effectiveness = exchanger.effectiveness_at(flow, fws_lpm, slow)
        if effectiveness < 5 / 100:
            return
        error_k = return_c - fws_c - rise_k / effectiveness
        self._mean_k += dt / (dt + _FILTER_S) * (error_k - self._mean_k)
        self._set_error()

    def _follow(self, factor: float, dt: float) -> float:
        """Return the slow UA factor after it has followed the learned one."""
        slow = self._slow_factor
        self._steady_s += dt
        if self._steady_s >= _YOUNG_S:
            self._is_known = True
            low = slow * (1.0 - _HOURLY_FALL * dt / 3600.0)
            high = slow * (1.0 + _HOURLY_RISE * dt / 3600.0)
            slow = low if factor < low else high if factor > high else factor
        elif not self._is_known:
            slow = factor
        self._slow_factor = slow
        return slow
