# SPDX-License-Identifier: Apache-2.0
"""Each call from the core of the agent into a piece stands in a `try` that catches `Exception`.

A piece is a component, a control loop, a bus, a link, the receiver, the uplink or a listener. The
test reads the code of the core. A call or a reference of one of their methods on any object but
`self` needs a guard, whatever the name of the variable. `EXEMPT` has the other objects of the core
that have methods of these names. Code outside of the core runs inside of a guarded call; only the
core may go through the lists of pieces.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.support.repository import ROOT

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
CORE = (
    "agent/agent.py",
    "agent/control/control_cycle.py",
    "agent/core",
    "agent/fieldbus",
    "agent/remote/command_table.py",
    "agent/retain/component.py",
    "agent/safety/supervisor.py",
    "agent/telemetry",
)
EXEMPT = {
    # only appends a request or changes three attributes of `PortLink`
    "agent/agent.py": {
        "link.request_open",
        "self.uplink.link.connect",
        "link.outbox",
        "link.event",
    },
    # inside of a guarded call of the agent
    "agent/core/component/component_set.py": {
        "component.receive",
        "component.link_receive",
        "component.event",
        "component.link_event",
    },
    "agent/core/fault/stand_in.py": {
        *("self.part.receive", "self.part.event", "self.part.link_receive", "self.part.link_event"),
        *("self.part.retain", "self.part.restore", "self.part.deadline", "self.part.wake"),
        "self.part.outbox",
    },
    "agent/core/fault/containment.py": {"agent.event"},
    "agent/fieldbus/device_session.py": {
        *("self._poll_cycle.handle_result", "cycle.handle_result"),  # of the session itself
        *("result.status", "result.values"),  # of a record
    },
    "agent/fieldbus/poll_cycle.py": {"result.status", "result.values"},
    "agent/remote/command_table.py": {
        *("self._capture.tick", "self._export.tick", "self._decommissioning.tick"),
    },
    "agent/retain/component.py": {
        *("self._record.event", "self._record.receive", "self._record.outbox"),
        "self.history.outbox",
    },
    "agent/telemetry/tls_link.py": {"PortLink.request_open", "PortLink.event", "PortLink.wake"},
    "agent/telemetry/uplink.py": {
        *("self.link.event", "self.link.wake", "link.outbox", "self._send_window.flush"),
        *("self._client.receive", "self._client.wake", "self._client.deadline"),
    },
    "agent/telemetry/status.py": {"guard.containment.status", "arbiter.status"},
}
OF_THE_CORE = {
    "self.ticks.start",
    "self.cycle.start",
    "self._status_writer.start",
    "self._status_writer.tick",
    "self.supervisor.step",
    "self.guard.containment.tick",
}
LISTS = {"components", "with_deadline", "with_outbox", "sessions", "providers", "port_listeners"}
RECORDS = ("config.", "changed.", "parsed.", "self.config.")
"""Lists of the configuration hold records."""
READERS = {
    # values of device sessions; the guard handles exceptions of components
    "agent/northbound/point_record.py",
    "agent/northbound/point_sources.py",
    "agent/log/block_builder.py",
    "agent/satcom/ram_queue.py",
    "agent/remote/update/plant_check.py",
}
GUARDED_METHODS = {"_collect"}
"""Methods of the agent that are called only from within a `try`; the test checks this."""


def catches_all(node: ast.Try) -> bool:
    return any(
        isinstance(handler.type, ast.Name) and handler.type.id == "Exception"
        for handler in node.handlers
    )


def piece_call(node: ast.AST) -> str:
    """Return the text of a call or a reference of a method of a piece, or an empty text."""
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        text = ast.unparse(node)
        if text in {f"self.{name}" for name in GUARDED_METHODS}:
            return text
        is_own = text in (f"self.{node.attr}", f"super().{node.attr}") or text in OF_THE_CORE
        return text if node.attr in CALLS and not is_own else ""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr" and len(node.args) > 1:
        name = node.args[1]
        return ast.unparse(node) if isinstance(name, ast.Constant) and name.value in CALLS else ""
    return ""


def core_files() -> list[str]:
    """Return the files of the core."""
    found = []
    for name in CORE:
        path = ROOT / name
        found += [path] if path.suffix else sorted(path.rglob("*.py"))
    return [path.relative_to(ROOT).as_posix() for path in found]


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
        if not is_guarded:
            text = piece_call(node)
            if text:
                yield node.lineno, text
        for child in ast.iter_child_nodes(node):
            yield from visit(child, is_guarded)

    yield from visit(tree, False)


def test_calls_into_pieces_are_guarded() -> None:
    found = [
        (name, line, text)
        for name in core_files()
        for line, text in unguarded(ast.parse((ROOT / name).read_bytes()))
        if text not in EXEMPT.get(name, ())
    ]
    assert found == []


def test_only_the_core_goes_through_the_lists_of_pieces() -> None:
    core, found = {*core_files(), *READERS}, []
    for path in sorted((ROOT / "agent").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name in core:
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            places = [node.iter] if isinstance(node, ast.For | ast.comprehension) else []
            places += [node.value] if isinstance(node, ast.Subscript) else []
            lists = [place for place in places if isinstance(place, ast.Attribute)]
            texts = [ast.unparse(place) for place in lists if place.attr in LISTS]
            found += [(name, text) for text in texts if not text.startswith(RECORDS)]
    assert found == []


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("component.tick(now)", 1),
        ("for part in self.components:\n    part.tick(now)", 1),
        ("self.components[0].before_control(now, dt)", 1),
        ("self.agent.supply_loop.step(now, dt)", 1),
        ("calls = [part.protect for part in self.components]", 1),
        ("getattr(part, 'read_inputs')(now)", 1),
        ("self.tick(now)", 0),
        ("super().event(kind, now)", 0),
        ("try:\n    component.tick(now)\nexcept Exception as error:\n    pass", 0),
        ("try:\n    component.tick(now)\nexcept ValueError:\n    pass", 1),
        ("try:\n    pass\nexcept Exception:\n    loop.step(now, dt)", 1),
        ("self._collect(bus, now)", 1),
        ("def _collect(self, bus):\n    bus.wake(now)", 0),
    ],
)
def test_the_check_finds_unguarded_calls(code: str, count: int) -> None:
    assert len(list(unguarded(ast.parse(code)))) == count
