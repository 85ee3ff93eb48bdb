# SPDX-License-Identifier: Apache-2.0
"""The plant check of a trial: each measured value is checked separately."""

from agent.remote.update.plant_check import PlantValues
from tests.portable.support.check import eq
from tests.portable.support.remote_rig import COUNTER, PRESSURE, RETURN_C, make_patch, start_rig


def make_check(**values):
    """Return a check with these values; the others are not measured."""
    made = object.__new__(PlantValues)
    for name in ("flow", "current", "margin", "delta_t"):
        setattr(made, name, values.get(name))
    return made


def test_each_value_is_checked():
    for before, after, verdict in (
        ({}, {}, ""),
        ({"flow": 100}, {"flow": 61}, ""),
        ({"flow": 100}, {"flow": 59}, "flow"),
        ({"flow": 100}, {}, "flow"),
        ({}, {"flow": 1}, ""),
        ({"current": 10}, {"current": 12.9}, ""),
        ({"current": 10}, {"current": 13.1}, "pump_current"),
        ({"delta_t": 8}, {"delta_t": 11.5}, ""),
        ({"delta_t": 8}, {"delta_t": 12.5}, "delta_t"),
        ({"delta_t": 1}, {"delta_t": 3.5}, ""),
        ({"margin": 8}, {"margin": 2.1}, ""),
        ({"margin": 8}, {"margin": 1.9}, "dew"),
        ({"margin": 1}, {"margin": 1.5}, ""),
    ):
        eq(
            (before, after, make_check(**after).find_degraded(make_check(**before))),
            (before, after, verdict),
        )


def test_values_are_read_from_the_devices():
    rig = start_rig()
    found = PlantValues(rig.agent, rig.now)
    eq((found.flow, found.current, found.margin, found.delta_t), (None, None, None, 8.0))
    rig.devices.silent.add(1)
    rig.run(8)
    eq(PlantValues(rig.agent, rig.now).delta_t, None)


def test_change_with_much_higher_delta_t_is_rolled_back():
    rig = start_rig()
    rig.send(make_patch(rig, [(PRESSURE, 95)]))
    rig.run(10)
    rig.set(1, RETURN_C, 460)  # 14 K instead of 8 K
    rig.set(1, 2, 2950)  # the loop itself is healthy
    rig.run(15)
    eq(rig.slot_state()[2], (COUNTER, "rolled_back", "unwell delta_t"))
