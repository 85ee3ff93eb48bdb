"""How much heat the loop gets rid of, how much it could, and whether it has stopped doing so.

Not a model of the plant: four figures from the readings of one cycle.

heat_w      what the coolant brings to the exchanger: flow x rho cp x (return - supply)
limit_w     the most it would take with the supply at `most_c`. The exchanger is linear in
            temperature at given flows, q = G (return - facility inlet); with q = C (return -
            supply), at supply = most_c this is G (most_c - inlet) / (1 - G/C). With the valve wide
            open that is all there is; otherwise opening it gives more, so it is a lower bound.
rate        kelvin a second of the supply, over the last `_SPAN` readings
lost        heat is no longer rejected: the facility water stands still though the valve is open
            (two readings in a row), or less than half of the loads' heat leaves the coolant and the
            supply rises so fast that it would pass `most_c` within `_LOOK_S`; until the water flows
            and the supply rises no more

C of PG25 (CoolProp 8, MPG 25 % by mass, 40 degC): 1009.9 kg/m3 x 3969 J/(kg K) = 66.8 W/K per
L/min.
"""

C_W_PER_K_LPM = 66.8
_SPAN = 4
_LOOK_S = 30.0
_FAST_K_S = 0.2
_STILL = 0.05
_OPEN_PCT = 15.0
_LEAST_LPM = 1.0


class Headroom:
    """The figures of the last cycle; None where a reading is missing. `most_c` is settable."""

    def __init__(self, most_c: float) -> None:
        self.most_c = most_c
        self.supply_c: float | None = None
        self.heat_w: int | None = None
        self.limit_w: int | None = None
        self.rate = 0.0
        self.still = 0
        self.lost = False
        self.why = ""
        self._most_lpm = 0.0
        self._flows: tuple[float, float] | None = None
        self._past: list[tuple[int, float]] = []

    def facility(self, lpm: "float | None", valve_pct: "float | None") -> None:
        """Take a reading of the facility water's flow, as soon as there is one."""
        if lpm is None or valve_pct is None:
            self.still = 0
            return
        self._most_lpm = max(self._most_lpm, lpm)
        usual = self._most_lpm > _LEAST_LPM and valve_pct >= _OPEN_PCT
        self.still = self.still + 1 if usual and lpm < _STILL * self._most_lpm else 0

    def step(
        self,
        supply: "tuple[int, float] | None",
        rise_k: "float | None",
        lpm: "float | None",
        inlet_c: "float | None",
        pressed: bool,
        load_w: int,
    ) -> None:
        """Take the readings of a cycle: supply (when it was read, degC), return minus supply, flow
        of the coolant, the facility's inlet; `pressed`: the valve is as far open as it may be, or
        the supply well above its set-point; the loads' power.
        """
        self.heat_w = self.limit_w = self._flows = None
        self.supply_c = None if supply is None else supply[1]
        if supply is None:
            self._past = []
            self.lost = self.still >= 2
            return
        self._slope(supply)
        if rise_k is not None and lpm is not None:
            c = C_W_PER_K_LPM * lpm
            self.heat_w = int(c * rise_k)
            self._learn(c, rise_k, supply[1], inlet_c)
        self._judge(supply[1], pressed, load_w)

    def begin(self, why: str) -> None:
        """Take it from somebody else that heat is no longer rejected; it ends as always."""
        self.lost, self.why = True, why

    def _slope(self, supply: "tuple[int, float]") -> None:
        past = self._past
        if past and past[-1][0] == supply[0]:
            return
        past.append(supply)
        if len(past) > _SPAN:
            past.pop(0)
        elapsed = past[-1][0] - past[0][0]
        self.rate = (past[-1][1] - past[0][1]) * 1_000_000 / elapsed if elapsed > 0 else 0.0

    def _learn(self, c: float, rise_k: float, supply_c: float, inlet_c: "float | None") -> None:
        """What the exchanger does at the present flows."""
        if inlet_c is None or rise_k <= 0 or supply_c + rise_k - inlet_c <= 0.5:
            return
        part = min(0.98, rise_k / (supply_c + rise_k - inlet_c))  # G / C
        self._flows = (c * part / (1 - part), inlet_c)
        self.limit_w = self.limit_at(self.most_c)

    def limit_at(self, supply_c: float) -> "int | None":
        """Heat that is rejected at the present flows with the supply so warm, W."""
        if self._flows is None:
            return None
        return max(0, int(self._flows[0] * (supply_c - self._flows[1])))

    def _judge(self, supply_c: float, pressed: bool, load_w: int) -> None:
        rising = (
            pressed
            and self.rate >= _FAST_K_S
            and len(self._past) == _SPAN
            and supply_c + self.rate * _LOOK_S > self.most_c
            and (self.heat_w is None or 2 * self.heat_w < load_w)
        )
        self.lost = self.still >= 2 or rising or (self.lost and self.rate > 0)
        if self.still >= 2 or rising:
            self.why = "the facility water stands still" if self.still >= 2 else "supply rises"
