# SPDX-License-Identifier: Apache-2.0
"""Ranks and records of claims on actuators and of set-point requests.

Does not select the claim that applies; see `agent.control.arbiter`. A component declares its ranks
in `Component.CLAIMS`. `agent.core.declarations` rejects two components with the same rank on one
actuator. So each cycle has one winner.
"""

from collections import namedtuple

LOOP, MODE, PROOF, SAFETY = 10, 20, 30, 40
"""Ranks; the highest rank wins. `LOOP`: the control loop, which makes no claim. `MODE`: an
operating mode. `PROOF`: a proof test. `SAFETY`: an interlock."""
VALVE, PUMPS = "valve", "pumps"
"""The actuators: the facility water valve, and all pumps of the secondary loop together."""
SUPPLY, PRESSURE = "supply", "pressure"
"""Keys of set-points: supply temperature in °C, differential pressure in kPa."""

ClaimSpec = namedtuple("ClaimSpec", ("actuator", "rank"))
"""A claim that a component can make."""

Claim = namedtuple("Claim", ("rank", "owner", "output"))
"""A claim in one cycle. `output`: 0 to 100 %. `owner`: name of the claiming component, for logs."""

SetpointRequest = namedtuple("SetpointRequest", ("owner", "key", "value"))
"""A set-point that `owner` requests. The last request or configuration change applies."""
