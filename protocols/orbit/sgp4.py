# SPDX-License-Identifier: Apache-2.0
"""SGP4 for near-earth orbits: from the mean elements of a TLE to a position in TEME kilometres.

Does not support SDP4: a period of 225 minutes or more is rejected. No satellite of the supported
modems is so high, except geostationary ones, which need no windows. Does not compute velocities;
contact windows need none.

Source: Spacetrack Report 3 as corrected by Vallado, Crawford, Hujsak and Kelso, "Revisiting
Spacetrack Report #3" (AIAA 2006-6753), WGS 72 constants, "improved" mode. The tests compare it with
the package sgp4 and with Vallado's verification set. With the 32-bit floats of a board the error is
some kilometres; this shifts a window by less than 1 s.
"""

from math import atan2, cos, pi, sin, sqrt

from protocols.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    Vector = tuple[float, float, float]

EARTH_KM = 6378.135
"""Equatorial radius, WGS 72."""
_MU = 398600.8  # km3/s2, WGS 72
_XKE = 60.0 / sqrt(EARTH_KM * EARTH_KM * EARTH_KM / _MU)
_J2, _J3, _J4 = 0.001082616, -0.00000253881, -0.00000165597
_J3OJ2 = _J3 / _J2
_TWO_PI = 2.0 * pi
_MAX_PERIOD_MIN = 225.0
_MIN_ECC = 1.0e-4


class MeanElements:
    """Mean elements at an epoch. Angles in radians, `motion` in radians a minute (Kozai).

    `epoch_us` is UTC in microseconds since 1970.
    """

    def __init__(self, epoch_us: int, motion: float, ecc: float, inclination: float) -> None:
        self.epoch_us = epoch_us
        self.motion = motion
        self.ecc = ecc
        self.inclination = inclination
        self.node = 0.0
        self.perigee = 0.0
        self.anomaly = 0.0
        self.bstar = 0.0


class Sgp4Orbit:
    """The orbit of one satellite, with constants computed once.

    `position_at` takes about 25 us on the unix port of MicroPython. Raises `DecodeError` for
    elements that are not of a near-earth orbit.
    """

    def __init__(self, elements: MeanElements) -> None:
        self.epoch_us = elements.epoch_us
        self._elements = elements
        if not (elements.motion > 0.0 and 0.0 <= elements.ecc < 1.0):
            raise DecodeError("elements of no closed orbit")
        self._recover_motion()
        if _TWO_PI / self._no >= _MAX_PERIOD_MIN:
            raise DecodeError("a period of %d minutes is not near-earth" % (_TWO_PI / self._no))
        self._compute_secular(self._compute_drag())

    def _recover_motion(self) -> None:
        """Convert the mean motion from Kozai to Brouwer form."""
        e = self._elements
        self._cosio = cos(e.inclination)
        self._sinio = sin(e.inclination)
        cos2 = self._cosio * self._cosio
        omeosq = 1.0 - e.ecc * e.ecc
        a = (_XKE / e.motion) ** (2.0 / 3.0)
        d1 = 0.75 * _J2 * (3.0 * cos2 - 1.0) / (sqrt(omeosq) * omeosq)
        d = d1 / (a * a)
        a = a * (1.0 - d * d - d * (1.0 / 3.0 + 134.0 * d * d / 81.0))
        self._no = e.motion / (1.0 + d1 / (a * a))
        self._ao = (_XKE / self._no) ** (2.0 / 3.0)
        self._con41 = 3.0 * cos2 - 1.0
        self._x1mth2 = 1.0 - cos2
        self._x7thm1 = 7.0 * cos2 - 1.0

    def _compute_drag(self) -> "tuple[float, float, float, float]":
        """Compute the drag coefficients; return (coef, cc3, tsi, s4)."""
        e, ao = self._elements, self._ao
        height = (ao * (1.0 - e.ecc) - 1.0) * EARTH_KM
        s4 = 20.0 if height < 98.0 else (height - 78.0 if height < 156.0 else 78.0)
        qoms = ((120.0 - s4) / EARTH_KM) ** 4
        s4 = s4 / EARTH_KM + 1.0
        self._simple = ao * (1.0 - e.ecc) < 220.0 / EARTH_KM + 1.0
        omeosq = 1.0 - e.ecc * e.ecc
        tsi = 1.0 / (ao - s4)
        self._eta = eta = ao * e.ecc * tsi
        etasq, eeta = eta * eta, e.ecc * eta
        psisq = abs(1.0 - etasq)
        coef = qoms * tsi**4
        coef1 = coef / psisq**3.5
        shared = _J2 * tsi / psisq * self._con41
        cc2 = (
            coef1
            * self._no
            * (
                ao * (1.0 + 1.5 * etasq + eeta * (4.0 + etasq))
                + 0.375 * shared * (8.0 + 3.0 * etasq * (8.0 + etasq))
            )
        )
        self._cc1 = e.bstar * cc2
        cc3 = 0.0
        if e.ecc > _MIN_ECC:
            cc3 = -2.0 * coef * tsi * _J3OJ2 * self._no * self._sinio / e.ecc
        self._cc4 = (
            2.0
            * self._no
            * coef1
            * ao
            * omeosq
            * (
                eta * (2.0 + 0.5 * etasq)
                + e.ecc * (0.5 + 2.0 * etasq)
                - _J2
                * tsi
                / (ao * psisq)
                * (
                    -3.0 * self._con41 * (1.0 - 2.0 * eeta + etasq * (1.5 - 0.5 * eeta))
                    + 0.75
                    * self._x1mth2
                    * (2.0 * etasq - eeta * (1.0 + etasq))
                    * cos(2.0 * e.perigee)
                )
            )
        )
        self._cc5 = 2.0 * coef1 * ao * omeosq * (1.0 + 2.75 * (etasq + eeta) + eeta * etasq)
        return coef, cc3, tsi, s4

    def _compute_secular(self, drag: "tuple[float, float, float, float]") -> None:
        """Compute the secular rates and the coefficients of the powers of time."""
        e, no = self._elements, self._no
        coef, cc3, tsi, s4 = drag
        cosio, cos2 = self._cosio, self._cosio * self._cosio
        cos4 = cos2 * cos2
        omeosq = 1.0 - e.ecc * e.ecc
        pinvsq = 1.0 / (self._ao * omeosq) ** 2
        t1 = 1.5 * _J2 * pinvsq * no
        t2 = 0.5 * t1 * _J2 * pinvsq
        t3 = -0.46875 * _J4 * pinvsq * pinvsq * no
        root = sqrt(omeosq)
        self._mdot = (
            no
            + 0.5 * t1 * root * self._con41
            + 0.0625 * t2 * root * (13.0 - 78.0 * cos2 + 137.0 * cos4)
        )
        self._argpdot = (
            -0.5 * t1 * (1.0 - 5.0 * cos2)
            + 0.0625 * t2 * (7.0 - 114.0 * cos2 + 395.0 * cos4)
            + t3 * (3.0 - 36.0 * cos2 + 49.0 * cos4)
        )
        xhdot1 = -t1 * cosio
        self._nodedot = (
            xhdot1 + (0.5 * t2 * (4.0 - 19.0 * cos2) + 2.0 * t3 * (3.0 - 7.0 * cos2)) * cosio
        )
        self._omgcof = e.bstar * cc3 * cos(e.perigee)
        self._xmcof = 0.0
        if e.ecc > _MIN_ECC:
            self._xmcof = -2.0 / 3.0 * coef * e.bstar / (e.ecc * self._eta)
        self._nodecf = 3.5 * omeosq * xhdot1 * self._cc1
        under = 1.0 + cosio if abs(cosio + 1.0) > 1.5e-12 else 1.5e-12
        self._xlcof = -0.25 * _J3OJ2 * self._sinio * (3.0 + 5.0 * cosio) / under
        self._aycof = -0.5 * _J3OJ2 * self._sinio
        self._delmo = (1.0 + self._eta * cos(e.anomaly)) ** 3
        self._sinmao = sin(e.anomaly)
        cc1 = self._cc1
        d2 = 4.0 * self._ao * tsi * cc1 * cc1
        t = d2 * tsi * cc1 / 3.0
        d3 = (17.0 * self._ao + s4) * t
        d4 = 0.5 * t * self._ao * tsi * (221.0 * self._ao + 31.0 * s4) * cc1
        self._d = (d2, d3, d4)
        self._t = (
            1.5 * cc1,
            d2 + 2.0 * cc1 * cc1,
            0.25 * (3.0 * d3 + cc1 * (12.0 * d2 + 10.0 * cc1 * cc1)),
            0.2
            * (
                3.0 * d4
                + 12.0 * cc1 * d3
                + 6.0 * d2 * d2
                + 15.0 * cc1 * cc1 * (2.0 * d2 + cc1 * cc1)
            ),
        )

    def position_at(self, utc_us: int) -> "Vector | None":
        """Return the position at `utc_us` in TEME km; None if the orbit has decayed."""
        return self.position_after((utc_us - self.epoch_us) / 60e6)

    def position_after(self, t: float) -> "Vector | None":
        """Return the position `t` minutes after the epoch; None if the orbit has decayed."""
        e = self._elements
        mean = e.anomaly + self._mdot * t
        argp = e.perigee + self._argpdot * t
        node = e.node + self._nodedot * t + self._nodecf * t * t
        tempa = 1.0 - self._cc1 * t
        tempe = e.bstar * self._cc4 * t
        templ = self._t[0] * t * t
        if not self._simple:
            turn = (1.0 + self._eta * cos(mean)) ** 3 - self._delmo
            shift = self._omgcof * t + self._xmcof * turn
            mean += shift
            argp -= shift
            t2, t3, t4 = t * t, t * t * t, t * t * t * t
            tempa -= self._d[0] * t2 + self._d[1] * t3 + self._d[2] * t4
            tempe += e.bstar * self._cc5 * (sin(mean) - self._sinmao)
            templ += self._t[1] * t3 + t4 * (self._t[2] + t * self._t[3])
        a = self._ao * tempa * tempa
        ecc = e.ecc - tempe
        if ecc >= 1.0 or ecc < -0.001 or a < 0.95:
            return None
        return self._compute_position(a, max(ecc, 1.0e-6), mean + self._no * templ, argp, node)

    def _compute_position(
        self, a: float, ecc: float, mean: float, argp: float, node: float
    ) -> "Vector | None":
        """Add the long-period and short-period terms; return the position in TEME km."""
        axnl = ecc * cos(argp)
        under = 1.0 / (a * (1.0 - ecc * ecc))
        aynl = ecc * sin(argp) + under * self._aycof
        u = (mean + argp + under * self._xlcof * axnl) % _TWO_PI
        sine, cose = _kepler(u, axnl, aynl)
        ecose, esine = axnl * cose + aynl * sine, axnl * sine - aynl * cose
        el2 = axnl * axnl + aynl * aynl
        pl = a * (1.0 - el2)
        if pl < 0.0:
            return None
        rl = a * (1.0 - ecose)
        betal = sqrt(1.0 - el2)
        k = esine / (1.0 + betal)
        sinu = a / rl * (sine - aynl - axnl * k)
        cosu = a / rl * (cose - axnl + aynl * k)
        sin2u, cos2u = 2.0 * cosu * sinu, 1.0 - 2.0 * sinu * sinu
        t1 = 0.5 * _J2 / pl
        t2 = t1 / pl
        r = rl * (1.0 - 1.5 * t2 * betal * self._con41) + 0.5 * t1 * self._x1mth2 * cos2u
        if r < 1.0:
            return None
        su = atan2(sinu, cosu) - 0.25 * t2 * self._x7thm1 * sin2u
        node += 1.5 * t2 * self._cosio * sin2u
        inc = self._elements.inclination + 1.5 * t2 * self._cosio * self._sinio * cos2u
        return orbit_to_teme(r * EARTH_KM, su, node, inc)


def _kepler(u: float, axnl: float, aynl: float) -> "tuple[float, float]":
    """Solve Kepler's equation; return sine and cosine of E + argument of perigee."""
    eo = u
    sine, cose = sin(eo), cos(eo)
    for _ in range(10):
        step = (u - aynl * cose + axnl * sine - eo) / (1.0 - cose * axnl - sine * aynl)
        step = min(0.95, max(-0.95, step))
        eo += step
        sine, cose = sin(eo), cos(eo)
        if abs(step) < 1.0e-12:
            break
    return sine, cose


def orbit_to_teme(r: float, u: float, node: float, inc: float) -> "Vector":
    """Return the TEME position in km at radius `r` km and angle `u` from the ascending node."""
    sinu, cosu = sin(u), cos(u)
    sinn, cosn = sin(node), cos(node)
    cosi = cos(inc)
    return (
        r * (cosn * cosu - sinn * cosi * sinu),
        r * (sinn * cosu + cosn * cosi * sinu),
        r * sin(inc) * sinu,
    )
