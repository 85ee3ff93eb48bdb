# SPDX-License-Identifier: Apache-2.0
"""Optional components: present only if configured, called in order, with their own port."""

import json
import sys

from agent.agent import Agent
from agent.config.load import load, unload_checks
from agent.core.errors import ConfigError
from agent.port_numbers import FIRST_BUS, STATE, port_names
from tests.portable.support.agent_rig import config, profiles
from tests.portable.support.check import eq, raises

PART = FIRST_BUS + 1
FAKE = ("fake", "tests.portable.support.fake_component", "FakeComponent", ("serial",), "")


def make_agent(section):
    """Return an agent with the section `fake`; schema and registry are then dropped."""
    _unload()
    registry = __import__("agent.core.component.registry", None, None, ("COMPONENTS",))
    registry.COMPONENTS = (registry.ComponentSpec(*FAKE),)
    schema = __import__("agent.config.schema", None, None, ("SCHEMA",))
    schema.SCHEMA["properties"]["fake"] = {
        "type": "object",
        "description": "a part",
        "required": [],
        "additionalProperties": False,
        "properties": {
            "port": {"type": "string", "description": "its port"},
            "ports": {
                "type": "object",
                "description": "its further ports",
                "minProperties": 1,
                "maxProperties": 4,
                "values": {"type": "string", "description": "an address"},
            },
            "points": {"type": "integer", "description": "whether it has points"},
        },
    }
    raw = config()
    if section is not None:
        raw["fake"] = section
    try:
        loaded = load(raw, profiles())
        return loaded, Agent(loaded)
    finally:
        _unload()


def _unload():
    """Drop the registry, and the module that keeps a reference to it."""
    unload_checks()
    sys.modules.pop("agent.core.component.component_set", None)


def test_component_without_section_is_not_loaded():
    sys.modules.pop("tests.portable.support.fake_component", None)  # another test loads it
    loaded, controller = make_agent(None)
    eq((loaded.components, controller.components), ([], []))
    eq("tests.portable.support.fake_component" in sys.modules, False)


def test_component_has_port_after_the_buses():
    loaded, controller = make_agent({"port": "serial:/dev/x?baud=4800"})
    eq(port_names(loaded)[PART], "fake")
    controller.start(0)
    assert (PART, "open", b"serial:/dev/x?baud=4800") in controller.outbox()
    controller.event(PART, "opened", 10)
    controller.receive(PART, b"abc", 20)
    eq(controller.deadline(), 0)
    controller.wake(0)
    eq(
        controller.components[0].calls,
        [("start", 0), ("event", "opened", 10), ("receive", b"abc", 20), ("tick", 0)],
    )
    for now in range(100_000, 1_000_000, 100_000):
        controller.wake(now)
        controller.outbox()
    controller.wake(1_000_000)
    assert ("wake", 1_000_000) in controller.components[0].calls
    assert (PART, "write", b"ask") in controller.outbox()


def test_component_status_is_shown():
    _, controller = make_agent({})
    controller.start(0)
    controller.event(STATE, "opened", 0)
    controller.outbox()
    controller.wake(0)
    written = [data for port, op, data in controller.outbox() if (port, op) == (STATE, "write")]
    eq(json.loads(written[-1].split(b"\0", 1)[1])["fake"], 2)


def test_component_port_is_checked():
    error = raises(ConfigError, make_agent, {"port": "tcp:host:1"})
    assert "fake.port" in str(error), error
    error = raises(ConfigError, make_agent, {"port": "serial:/dev/bus?baud=115200"})
    assert "fake.port: serial:/dev/bus" in str(error), error


def test_further_ports_are_last_and_ordered_by_name():
    loaded, controller = make_agent({"ports": {"b": "tls:host:2", "a": "tcp:host:1"}})
    eq(port_names(loaded)[PART:], ["fake.a", "fake.b"])
    controller.start(0)
    out = controller.outbox()
    assert (PART, "open", b"tcp:host:1") in out
    assert (PART + 1, "open", b"tls:host:2") in out
    controller.event(PART + 1, "opened", 10)
    controller.receive(PART + 1, b"abc", 20)
    component = controller.components[0]
    eq([link.name for link in component.links], ["fake.a", "fake.b"])
    eq([link.is_open for link in component.links], [False, True])
    eq(component.calls[1:], [("link_event", 1, "opened", 10), ("link_receive", 1, b"abc", 20)])
    component.links[1].reopen()
    out = [action for action in controller.outbox() if action[0] == PART + 1]
    eq(out, [(PART + 1, "close", b""), (PART + 1, "open", b"tls:host:2")])


def test_further_ports_are_streams():
    error = raises(ConfigError, make_agent, {"ports": {"a": "serial:/dev/x"}})
    assert "fake.ports.a" in str(error), error


def test_component_points_follow_device_points():
    _, controller = make_agent({"points": 1})
    eq(controller.telemetry.describe()[-1], ["fake.PowerWatts", "W", 1, 10])
    controller.start(0)
    controller.wake(0)
    row = json.loads(controller.telemetry.queue.last)["v"]
    eq((len(row), row[-1]), (len(controller.telemetry.describe()), 2))
    _, controller = make_agent({})
    eq(controller.telemetry.components, [])
