# SPDX-License-Identifier: Apache-2.0
"""Claims on actuators and requests for set-points: their ranks and records.

Does not decide which claim wins; see `agent.control.arbiter`. A component declares its ranks in
`Component.CLAIMS`. `agent.core.registry` refuses two components with the same rank on the same
actuator, so that each cycle has one winner.
"""

from collections import namedtuple

LOOP, MODE, PROOF, SAFETY = 10, 20, 30, 40
"""Ranks; the higher one wins. `LOOP`: the control loop, which makes no claim. `MODE`: an operating
mode. `PROOF`: a proof test. `SAFETY`: an interlock."""
VALVE, PUMPS = "valve", "pumps"
"""The actuators: the facility water valve, and all pumps of the secondary loop together."""
SUPPLY, PRESSURE = "supply", "pressure"
"""Keys of set-points: supply temperature, degrees Celsius; differential pressure, kilopascal."""

ClaimSpec = namedtuple("ClaimSpec", ("actuator", "rank"))
"""A claim that a component can make."""

Claim = namedtuple("Claim", ("rank", "owner", "output"))
"""A claim in one cycle: `output` in percent, asked for by `owner` (for people)."""

SetpointRequest = namedtuple("SetpointRequest", ("owner", "key", "value"))
"""A set-point asked for by `owner`. The last request or configuration change wins."""
