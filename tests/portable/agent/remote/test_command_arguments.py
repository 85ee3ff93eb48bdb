# SPDX-License-Identifier: Apache-2.0
"""Commands with invalid arguments: each component reports them and raises nothing else."""

from agent.core.errors import AgentError
from agent.remote.message.command import ROLES
from protocols.cbor import Decimal, Map
from tests.portable.support.agent_rig import AgentRig, RigLcg, config
from tests.portable.support.check import eq
from tests.portable.support.power_rig import PowerRig

KEYS = ("code", "pct", "at_utc_s", "action", "value", "cancel", "mode", "minutes", "valve_pct",
        "pump_pct", "what", "port", "seconds")  # fmt: skip
VALUES = (None, True, 0, 1, -1, 101, 1 << 40, -(1 << 63), "", "x", "setpoint_c", "cap_pct", b"",
          b"\0", Decimal(15, 1), [], [1], Map([]))  # fmt: skip


def parts():
    """Return the components of two units that accept commands."""
    rig = PowerRig()
    rig.run(5)
    pan = {"name": "pan", "device": "cdu", "bit": "Leak", "kind": "leak_critical"}
    raw = config()
    raw["safety"] = {"inputs": [pan]}
    other = AgentRig(raw)
    other.run(5)
    return rig.agent.components + other.agent.components, rig


def test_no_argument_breaks_a_component():
    known, rig = parts()
    rng = RigLcg(5)
    names = [name for name, _ in ROLES]
    done = refused = 0
    for _ in range(3000):
        chosen = sorted({KEYS[rng.below(len(KEYS))] for _ in range(rng.below(4))})
        pairs = [(key, VALUES[rng.below(len(VALUES))]) for key in chosen]
        name = names[rng.below(len(names))]
        for part in known:
            try:
                answer = part.handle_command(name, Map(pairs), rig.now)
            except AgentError:
                refused += 1
                continue
            assert answer is None or type(answer) is str, (name, pairs, answer)
            done += answer is not None
    assert done > 20, done
    assert refused > 100, refused
    rig.run(10)
    eq(rig.agent.ticks.missed, 0)
