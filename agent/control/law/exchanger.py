"""What opening of the valve gives what supply temperature: the plate exchanger, steady, as a table.

Not a controller and not the bench's plant: the same textbook in a second hand. Of a counter-flow
exchanger, the share of the way from return to facility water that the supply is cooled is

    share = (return - supply) / (return - facility) = effectiveness * Cmin / C(secondary)

by the effectiveness-NTU method (Kays and London, Compact Heat Exchangers), with UA = UAd * [0.5
(V1^-0.8 + V2^-0.8)]^-1 of the flows over their design values. No temperature enters, so the table
from opening to share is made anew only when the secondary flow, or what has been learned of UA and
of the facility water's flow, has moved. The valve is equal-percentage, R^(x-1) of Kvs at stroke x,
in pipework with authority a: the flow is F / sqrt(1 - a + a / (R^(x-1))^2) (sizing guides of
two-way valves).
"""

from agent.control.law.deterministic_math import exp, power, root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_POINTS = 26
_STEP = 100.0 / (_POINTS - 1)
_FLOW_MOVED = 1 / 100
_UA_MOVED = 1 / 200
_LEAST_LPM = 1.0


class Exchanger:
    """The exchanger and its valve by the figures of `model`, a section of the configuration.

    Keys: `ua_kw_k` (kW/K at the design flows), `tcs_lpm`, `fws_lpm` (design flows), `tcs_j_lk`,
    `fws_j_lk` (J per litre and kelvin), `fws_open_lpm` (flow with the valve wide open),
    `rangeability`, `authority`. `fouling` is the share of UA that is there, `scale` the facility
    water's flow over the table's.
    """

    def __init__(self, model: "dict[str, Any]") -> None:
        self._ua = 1000.0 * model["ua_kw_k"]
        self.design_lpm: float = model["tcs_lpm"]
        self.fws_design_lpm: float = model["fws_lpm"]
        self._tcs_w: float = model["tcs_j_lk"] / 60.0
        self._fws_w: float = model["fws_j_lk"] / 60.0
        self.fouling = 1.0
        self.scale = 1.0
        self._made_scale = 1.0
        self.flows = _flows(model)
        self._films = [
            power(lpm / model["fws_lpm"], -8 / 10) if lpm > 0 else 0.0 for lpm in self.flows
        ]
        self.shares = [0.0] * _POINTS
        self._made_lpm = 0.0
        self._made_fouling = 1.0
        self._last = 0
        self.at(self.design_lpm)

    def at(self, tcs_lpm: float) -> None:
        """Make the table ready for a secondary flow, L/min."""
        if tcs_lpm < _LEAST_LPM:
            tcs_lpm = _LEAST_LPM
        moved = tcs_lpm - self._made_lpm
        learned = self.fouling - self._made_fouling
        near = -_FLOW_MOVED * tcs_lpm < moved < _FLOW_MOVED * tcs_lpm
        same = self.scale - self._made_scale
        if near and -_UA_MOVED < learned < _UA_MOVED and -_FLOW_MOVED < same < _FLOW_MOVED:
            return
        self._made_lpm, self._made_fouling = tcs_lpm, self.fouling
        self._made_scale = self.scale
        c1 = tcs_lpm * self._tcs_w
        film = power(tcs_lpm / self.design_lpm, -8 / 10)
        scaled = power(self.scale, -8 / 10)
        ua = 2.0 * self._ua * self.fouling
        for i in range(1, _POINTS):
            c2 = self.flows[i] * self.scale * self._fws_w
            self.shares[i] = _share(ua / (film + scaled * self._films[i]), c1, c2)

    def share_at(self, tcs_lpm: float, fws_lpm: float) -> float:
        """Give the share at any pair of flows above 0, without the table."""
        film = power(tcs_lpm / self.design_lpm, -8 / 10)
        film += power(fws_lpm / self.fws_design_lpm, -8 / 10)
        c1, c2 = tcs_lpm * self._tcs_w, fws_lpm * self._fws_w
        return _share(2.0 * self._ua * self.fouling / film, c1, c2)

    def flow_at(self, opening: float) -> float:
        """Give the facility water's flow at an opening (%), L/min."""
        x = opening / _STEP
        i = int(x)
        i = i if i < _POINTS - 1 else _POINTS - 2
        return self.scale * (self.flows[i] + (x - i) * (self.flows[i + 1] - self.flows[i]))

    def capacity(self, fws_lpm: float) -> float:
        """Heat capacity rate of a flow of facility water, W/K."""
        return fws_lpm * self._fws_w

    def tcs_capacity(self, tcs_lpm: float) -> float:
        """Heat capacity rate of a secondary flow, W/K."""
        return tcs_lpm * self._tcs_w

    def opening(self, share: float) -> float:
        """Give the opening (0 to 100 %) that cools by `share`; the end if none does."""
        shares = self.shares
        i = self._last
        while i < _POINTS - 2 and shares[i + 1] < share:
            i += 1
        while i > 0 and shares[i] > share:
            i -= 1
        self._last = i
        low, high = shares[i], shares[i + 1]
        if share <= low:
            return i * _STEP
        if share >= high:
            return (i + 1) * _STEP
        return (i + (share - low) / (high - low)) * _STEP

    def share(self, opening: float) -> float:
        """Give the share of the way that an opening (%) cools by."""
        x = opening / _STEP
        i = int(x)
        if i >= _POINTS - 1:
            return self.shares[_POINTS - 1]
        return self.shares[i] + (x - i) * (self.shares[i + 1] - self.shares[i])


def _flows(model: "dict[str, Any]") -> "list[float]":
    """The facility water's flow at each opening of the table, L/min."""
    r, a, most = model["rangeability"], model["authority"], model["fws_open_lpm"]
    flows = [0.0]
    for i in range(1, _POINTS):
        inherent = power(r, i * _STEP / 100.0 - 1.0)
        flows.append(most / root(1.0 - a + a / (inherent * inherent)))
    return flows


def _share(ua: float, c1: float, c2: float) -> float:
    """Effectiveness times Cmin over the secondary's capacity rate."""
    low, high = (c1, c2) if c1 < c2 else (c2, c1)
    ntu, ratio = ua / low, low / high
    gap = 1.0 - ratio
    if gap < 1 / 1000:
        effectiveness = ntu / (1.0 + ntu)
    else:
        e = exp(-ntu * gap)
        effectiveness = (1.0 - e) / (1.0 - ratio * e)
    return effectiveness * low / c1
