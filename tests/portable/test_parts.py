"""Optional rooms of the agent: only there when configured, turned in order, with their own port."""

import json
import sys

import agent.parts
from agent.agent import FIRST_BUS, STATE, Agent, port_names
from agent.config import forget_checks, load
from agent.errors import ConfigError
from tests.portable.check import eq, raises
from tests.portable.rig import config, profiles

PART = FIRST_BUS + 1
TABLE = (("fake", "tests.portable.fakepart", "Fake", ("serial",)),)


def made(section):
    """An agent with the section `fake`; the tables are as before afterwards."""
    before = agent.parts.PARTS
    forget_checks()
    schema = __import__("agent.schema", None, None, ("SCHEMA",))  # anew, to be forgotten again
    agent.parts.PARTS = TABLE
    schema.SCHEMA["properties"]["fake"] = {
        "type": "object",
        "description": "a part",
        "required": [],
        "additionalProperties": False,
        "properties": {"port": {"type": "string", "description": "its port"}},
    }
    raw = config()
    if section is not None:
        raw["fake"] = section
    try:
        loaded = load(raw, profiles())
        return loaded, Agent(loaded)
    finally:
        agent.parts.PARTS = before
        forget_checks()


def test_a_part_that_is_not_asked_for_is_not_there():
    loaded, controller = made(None)
    eq((loaded.parts, controller.parts), ([], []))
    eq("tests.portable.fakepart" in sys.modules, False)


def test_a_part_has_the_port_after_the_buses_and_is_turned():
    loaded, controller = made({"port": "serial:/dev/x?baud=4800"})
    eq(port_names(loaded)[PART], "fake")
    controller.start(0)
    assert (PART, "open", b"serial:/dev/x?baud=4800") in controller.outbox()
    controller.event(PART, "opened", 10)
    controller.receive(PART, b"abc", 20)
    eq(controller.deadline(), 0)
    controller.wake(0)
    eq(
        controller.parts[0].seen,
        [("start", 0), ("event", "opened", 10), ("receive", b"abc", 20), ("tick", 0)],
    )
    for now in range(100_000, 1_000_000, 100_000):
        controller.wake(now)
        controller.outbox()
    controller.wake(1_000_000)
    assert ("wake", 1_000_000) in controller.parts[0].seen
    assert (PART, "write", b"ask") in controller.outbox()


def test_its_status_is_shown():
    _, controller = made({})
    controller.start(0)
    controller.event(STATE, "opened", 0)
    controller.outbox()
    controller.wake(0)
    written = [data for port, op, data in controller.outbox() if (port, op) == (STATE, "write")]
    eq(json.loads(written[-1].split(b"\0", 1)[1])["fake"], 2)


def test_its_port_is_checked_like_any_other():
    error = raises(ConfigError, made, {"port": "tcp:host:1"})
    assert "fake.port" in str(error), error
    error = raises(ConfigError, made, {"port": "serial:/dev/bus?baud=115200"})
    assert "fake.port: serial:/dev/bus" in str(error), error
