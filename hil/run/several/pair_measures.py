# SPDX-License-Identifier: Apache-2.0
"""Reads the measures of a pair, by their names in `hil.measure.several`.

Does not judge and does not measure; see `pair_meter`.
"""

from __future__ import annotations

from hil.measure.several import ROLES
from hil.run.several.pair_run import ControllerPair


def read_pair(pair: ControllerPair, name: str, number: int) -> float:
    """Read a measure; `number`: 1 (a) or 2 (b), 0 for none."""
    meter = pair.meter
    if name == "role":
        is_on = pair.shells[number - 1].is_on
        return float(ROLES.index(pair.agents[number - 1].role if is_on else "off"))
    if name == "epoch":
        return float(pair.agents[number - 1].beacons.epoch)
    return {
        "writers": float(meter.writers),
        "gap": meter.gap_us / 1e6,
        "step": meter.step_pct,
        "takeovers": float(pair.takeovers),
        "collisions": float(pair.line.collisions),
    }[name]
