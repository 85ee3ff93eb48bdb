# SPDX-License-Identifier: Apache-2.0
"""Devices and buses in the status, as JSON and as text."""

import json

from agent.fieldbus.session_state import LOST, ONLINE
from agent.telemetry import bus_status, bus_text, status
from drivers.modbus.counters import BusCounters
from protocols.modbus.rtu import RtuClient
from tests.portable.support.agent_rig import FIRST_BUS, AgentRig, minimal_config
from tests.portable.support.check import eq


def modbus(rig):
    return json.loads(status.snapshot(rig.agent, rig.now).decode())["modbus"]


def by_name(rows):
    return {row["name"]: row for row in rows}


def test_devices_that_reply():
    rig = AgentRig()
    rig.run(6.5)
    found = by_name(modbus(rig)["devices"])
    eq(sorted(found), sorted([d.name for d in rig.agent.config.devices]))
    for session in rig.agent.fieldbus.sessions:
        row = found[session.name]
        eq((row["state"], row["unit"], row["errors"]), ("ok", session.unit, 0))
        assert row["transactions"] >= 6, row
        assert 0 <= row["response_us"] < 60_000, row
        assert 0 < rig.now - row["answered_us"] < 1_100_000, row


def test_states_of_a_device():
    rig = AgentRig()
    eq({row["state"] for row in modbus(rig)["devices"]}, {"lost"})
    rig.run(6.5)
    session = rig.agent.fieldbus.sessions[0]
    for owner, name, value, state in (
        (session._write_cycle, "unverified", True, "refuses"),
        (session, "comm_state", LOST, "lost"),
        (session._write_cycle, "unverified", False, "lost"),
    ):
        setattr(owner, name, value)
        eq(bus_status.device_state(session), state)
    session.comm_state = ONLINE
    session.device.identity = "unknown"
    eq(bus_status.device_state(session), "unproven")
    session.device.identity = "mismatch"
    eq(bus_status.device_state(session), "wrong model")


def test_a_bus():
    rig = AgentRig()
    rig.run(16.5)  # the agent writes its status once a second
    (row,) = json.loads(rig.state.split(b"\0", 1)[1].decode())["modbus"]["buses"]
    eq((row["name"], row["open"], row["overload"]), (rig.agent.fieldbus.names[0], True, False))
    assert 500 < row["load_milli_pct"] < 60_000, row
    eq((row["errors"], row["timeouts"], row["retries"], row["dead_units"]), (0, 0, 0, 0))
    rig.deliver("event", FIRST_BUS, "failed")
    eq(modbus(rig)["buses"][0]["open"], False)


def test_load_is_measured_since_last_call():
    counters = BusCounters(RtuClient())
    counters.busy_us = 250
    eq(counters.load_milli_pct(1000), 25_000)
    eq(counters.load_milli_pct(1000), 0)
    counters.busy_us = 750
    eq(counters.load_milli_pct(2000), 50_000)
    counters.busy_us = 9750
    eq(counters.load_milli_pct(3000), 100_000)
    eq(counters.load_milli_pct(4000), 0)


def test_text_lines():
    bus = {"name": "bus", "open": True, "load_milli_pct": 12340, "overload": False}
    bus.update({"timeouts": 1, "retries": 2, "dead_units": 0})
    device = {"name": "rpu", "state": "ok", "errors": 1, "transactions": 99}
    device.update({"response_us": 5123, "answered_us": 9_500_000})
    silent = {"name": "valve", "state": "lost", "errors": 4, "transactions": 4}
    silent.update({"response_us": None, "answered_us": None})
    text = bus_text.lines(
        {"mono_us": 10_000_000, "modbus": {"buses": [bus], "devices": [device, silent]}}
    )
    eq(
        text,
        [
            "bus        bus  load 12.3 %, 1 time-outs, 2 retries, 0 units offline",
            "device     rpu  ok  replies in 5.1 ms, last 0.5 s ago, 1 of 99 failed",
            "device     valve  LOST  replies in --, last never, 4 of 4 failed",
        ],
    )
    bus["open"], bus["overload"] = False, True
    (line,) = bus_text.lines({"mono_us": 0, "modbus": {"buses": [bus], "devices": []}})
    assert line.endswith("0 units offline, PORT NOT OPEN, OVERLOAD"), line


def test_snapshot_of_minimal_config():
    rig = AgentRig(minimal_config())
    rig.run(2)
    assert modbus(rig)["buses"]
