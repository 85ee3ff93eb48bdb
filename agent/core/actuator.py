# SPDX-License-Identifier: Apache-2.0
"""Actuators, ranks and kinds of claims, and the records of claims and set-point requests.

Does not select the claim that applies; see `agent.control.actuator.arbiter`. A component declares
its claims in `Component.CLAIMS`. `agent.core.component.declarations` rejects two components with
exact claims of the same rank on one actuator. So each cycle has one winner.

    rank         claimant                           kinds
    LOCKOUT      people on site: a drive in hand    exact: no writes
    INTERLOCK    leak, emergency stop, dew point    all
    MANUAL       an operating mode                  exact
    PROTECTION   slower protection                  bounds
    PROOF        a proof test                       exact
    GROUP        a group of CDUs: standby, follower exact
    LOOP         the control loop, without a claim  exact
"""

from collections import namedtuple

LOOP, GROUP, PROOF, PROTECTION, MANUAL, INTERLOCK, LOCKOUT = 10, 20, 30, 40, 50, 60, 70
"""Ranks; the highest rank wins."""
EXACT, AT_MOST, AT_LEAST = 0, 1, 2
KINDS = ("exact", "at_most", "at_least")
"""Kinds of claims. `EXACT`: this output. The other two are bounds of the output of a lower or an
equal rank. `KINDS`: their names in the status."""
VALVE, PUMPS, FANS = "valve", "pumps", "fans"
ACTUATORS = (VALVE, PUMPS, FANS)
"""The actuators: the facility water valve, all pumps of the secondary loop together, and all fans
of the cooler together."""
SUPPLY, PRESSURE = "supply", "pressure"
"""Keys of set-points: supply temperature in °C, differential pressure in kPa."""

ClaimSpec = namedtuple("ClaimSpec", ("actuator", "rank", "kind"))
"""A claim that a component can make."""

Claim = namedtuple("Claim", ("rank", "kind", "output", "owner", "reason"))
"""A claim in one cycle. `output`: 0 to 100 %. `owner`: name of the claiming component. `reason`: an
alarm code, a mode or another short text."""

Decision = namedtuple("Decision", ("output", "owner", "reason", "is_loop"))
"""The output of an actuator in one cycle, percent; None: no write (`LOCKOUT`). `owner`: the
claimant that defines the output. `is_loop`: no exact claim won; the output is that of the loop,
possibly limited by a bound of `owner`."""

SetpointRequest = namedtuple("SetpointRequest", ("owner", "key", "value"))
"""A set-point that `owner` requests. The last request or configuration change applies."""
