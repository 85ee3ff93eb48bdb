# SPDX-License-Identifier: Apache-2.0
"""An exchanger that fouls within hours: both temperatures of the row may read too high.

Does not learn the exchanger and raises no alarm; `agent.control.law.feedforward` learns its UA and
`fouling` is the alarm. An equal error of the supply and of the return leaves their difference, so
the heat balance of `agent.control.law.plausibility` agrees. The exchanger then seems to transfer
less, and its UA is learned within minutes. But deposits need weeks. So a slow UA is kept, and the
difference is read as an error of the temperatures:

    return - T1 = rise / effectiveness(slow UA)     error = measured - expected return

Too high is the dangerous direction: the true supply is colder than shown. `error_k` raises the
dew-point limit, by at most `_MOST_K`. If the exchanger has really lost so much, this costs some
kelvin of supply temperature while the dew point limits it. In the first `_YOUNG_S` of a steady row
the slow UA follows the learned one; a restart begins this time again.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.exchanger import Exchanger
    from agent.control.law.row.readings import RowReadings

_YOUNG_S = 599.5
_HOURLY_FALL, _HOURLY_RISE = 1 / 200, 1 / 2
_FILTER_S = 60.0
_LEAST_RISE_K = 20 / 10
_ALLOWED_K, _MOST_K = 10 / 10, 50 / 10


class ExchangerTrend:
    """`error_k`: how far the supply may be below its reading, beyond `_ALLOWED_K`."""

    def __init__(self) -> None:
        self.error_k = 0.0
        self._slow_factor: float | None = None
        self._steady_s = self._mean_k = 0.0

    def step(
        self, exchanger: "Exchanger", r: "RowReadings", flow: "float | None", dt: float
    ) -> None:
        """Use the readings of a cycle in which the row is steady and nothing is suspect."""
        supply_c, return_c, fws_c, fws_lpm = r.supply_c, r.return_c, r.fws_supply_c, r.fws_flow_lpm
        if supply_c is None or return_c is None or fws_c is None or flow is None or fws_lpm is None:
            return
        rise_k = return_c - supply_c
        if rise_k < _LEAST_RISE_K or flow <= 0.0 or fws_lpm <= 0.0:
            return
        slow = self._follow(exchanger.ua_factor, dt)
        effectiveness = exchanger.effectiveness_at(flow, fws_lpm, slow)
        if effectiveness < 5 / 100:
            return
        error_k = return_c - fws_c - rise_k / effectiveness
        self._mean_k += dt / (dt + _FILTER_S) * (error_k - self._mean_k)
        beyond_k = self._mean_k - _ALLOWED_K
        self.error_k = 0.0 if beyond_k < 0.0 else beyond_k if beyond_k < _MOST_K else _MOST_K

    def _follow(self, factor: float, dt: float) -> float:
        """Return the slow UA factor after it has followed the learned one."""
        slow = self._slow_factor
        self._steady_s += dt
        if slow is None or self._steady_s < _YOUNG_S:
            slow = factor
        else:
            low = slow * (1.0 - _HOURLY_FALL * dt / 3600.0)
            high = slow * (1.0 + _HOURLY_RISE * dt / 3600.0)
            slow = low if factor < low else high if factor > high else factor
        self._slow_factor = slow
        return slow
