# SPDX-License-Identifier: Apache-2.0
"""Each call from the agent into a piece stands in a `try` that catches `Exception`.

A piece is a component, a control loop, a bus, a link, the receiver, the uplink or a listener. The
test reads the code: an unguarded call of one of their methods is an error.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.support.repository import ROOT

PIECES = {
    "component",
    "loop",
    "bus",
    "link",
    "listener",
    "piece",
    "provider",
    "session",
    "self.receiver",
    "self.uplink",
    "self._component_set",
}
CALLS = {
    "active_conditions",
    "add_fix",
    "before_control",
    "deadline",
    "event",
    "flush",
    "handle_command",
    "handle_result",
    "link_event",
    "link_receive",
    "on_outbox",
    "on_receive",
    "outbox",
    "poll",
    "poll_bus",
    "protect",
    "read_inputs",
    "send_early_poll",
    "receive",
    "restore",
    "retain",
    "start",
    "status",
    "step",
    "take_fixes",
    "tick",
    "values",
    "wake",
}
FILES = (
    "agent/agent.py",
    "agent/control/control_cycle.py",
    "agent/core/alarm_list.py",
    "agent/fieldbus/fieldbus.py",
    "agent/remote/command_table.py",
    "agent/retain/component.py",
    "agent/safety/supervisor.py",
    "agent/telemetry/rows.py",
    "agent/telemetry/status.py",
)
EXEMPT = {
    # only appends a request or changes three attributes of `PortLink`
    ("agent/agent.py", "link.start"),
    ("agent/agent.py", "self.uplink.link.start"),
    ("agent/agent.py", "link.outbox"),
    ("agent/agent.py", "link.event"),
}
GUARDED_METHODS = {"_collect"}
"""Methods of the agent that are called only from within a `try`; the test checks this."""


def catches_all(node: ast.Try) -> bool:
    return any(
        isinstance(handler.type, ast.Name) and handler.type.id == "Exception"
        for handler in node.handlers
    )


def unguarded(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Find the calls into pieces outside of a guarding `try` and of a guarded method."""

    def visit(node: ast.AST, is_guarded: bool) -> Iterator[tuple[int, str]]:
        if isinstance(node, ast.FunctionDef):
            is_guarded = node.name in GUARDED_METHODS
        if isinstance(node, ast.Try) and catches_all(node):
            for child in node.body:
                yield from visit(child, True)
            for child in [*node.handlers, *node.orelse, *node.finalbody]:
                yield from visit(child, is_guarded)
            return
        if isinstance(node, ast.Call) and not is_guarded:
            text = ast.unparse(node.func)
            target, _, method = text.rpartition(".")
            is_piece = target in PIECES and method in CALLS
            if is_piece or text in {f"self.{name}" for name in GUARDED_METHODS}:
                yield node.lineno, text
        for child in ast.iter_child_nodes(node):
            yield from visit(child, is_guarded)

    yield from visit(tree, False)


@pytest.mark.parametrize("name", FILES)
def test_calls_into_pieces_are_guarded(name: str) -> None:
    found = [
        (line, text)
        for line, text in unguarded(ast.parse((ROOT / name).read_bytes()))
        if (name, text) not in EXEMPT
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("component.tick(now)", 1),
        ("try:\n    component.tick(now)\nexcept Exception as error:\n    pass", 0),
        ("try:\n    component.tick(now)\nexcept ValueError:\n    pass", 1),
        ("try:\n    pass\nexcept Exception:\n    loop.step(now, dt)", 1),
        ("self._collect(bus, now)", 1),
        ("def _collect(self, bus):\n    bus.wake(now)", 0),
    ],
)
def test_the_check_finds_unguarded_calls(code: str, count: int) -> None:
    assert len(list(unguarded(ast.parse(code)))) == count
