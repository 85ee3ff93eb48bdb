# SPDX-License-Identifier: Apache-2.0
"""A redundant pair on one line as a model, explored exhaustively.

The controllers of the model are the table of the product (`agent.redundancy.pair_table`). One step
is 100 ms. In each step each controller can send one frame. An active controller can be silent for
300 ms at any time. Frames of both controllers in one step follow each other or collide. After a
collision one of them can reach a device, whose reply is garbage for the other controller; or none
does, and each side receives garbage or nothing.

Faults at any step: power off, pause, receiver dead, driver dead, link dead in one direction. Then
no word passes in either: a word is taken only if the own messages reach its sender.
Repairs at any later step are free. A planned swap counts as a fault.

Not in the model: late frames, dead devices, times finer than a step, replicated data.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple

from agent.redundancy import pair_table

STEP_MS = 100
CYCLE_STEPS = 10
"""Bus cycle of 1 s: the least time between the writes of two controllers."""
GAP_STEPS = 300
"""The count of steps without a writer ends here (30 s)."""
OFF, ON, PAUSED = 0, 1, 2
WITH_REQUEST = ("q", "b", "t", "u")
KINDS = frozenset({"power", "pause", "port", "link", "swap"})


class NodeHealth(NamedTuple):
    """What is broken at one controller."""

    power: int = ON
    receiver: bool = True
    driver: bool = True
    link: bool = True  # from this controller to its peer
    paused_ms: int = 0
    waits: bool = False  # a request of another master waits in the buffer of the port

    @property
    def whole(self) -> bool:
        return self.power == ON and self.receiver and self.driver


class ModelState(NamedTuple):
    """One state of the model. `writer` is 0, 1 or -1; ages are in steps and capped."""

    nodes: tuple[Any, Any]
    health: tuple[NodeHealth, NodeHealth]
    newer: int
    writer: int
    written: int
    gap: int
    faults: int
    command: int = -1  # controller that gets the command to swap in this step


@dataclass
class Result:
    """What the search found: states, their depth, the longest time without a writer, roles."""

    states: int = 0
    depth: int = 0
    gap_ms: int = 0
    violation: ModelState | None = None
    roles: set[int] = field(default_factory=set)


class PairModel:
    """The search. `table` is the module of the table, or a changed copy of it. Without
    `counts_gap` the time without a writer is not counted: there are fewer states.
    """

    def __init__(
        self,
        faults: int,
        kinds: frozenset[str] = KINDS,
        table: ModuleType = pair_table,
        counts_gap: bool = True,
    ) -> None:
        self.faults = faults
        self._most_gap = GAP_STEPS if counts_gap else 0
        if "third" in kinds:
            self._most_gap = min(1, self._most_gap)
        self.kinds = kinds
        self.table = table
        # Pauses after failed probes are kept short, so that the search ends.
        timers = tuple(table.timers_of(name)._replace(pause_ms=1000) for name in "ab")
        self.timers = timers
        self._steps: dict[tuple[int, Any, Any, int], Any] = {}
        self._event_sets: dict[tuple[Any, ...], Any] = {}

    def run(self, first: ModelState | None = None, limit: int = 10_000_000) -> Result:
        """Explore all states from `first`, by default the steady state.

        The set holds hashes of 64 bits of the states. Stops at the first violation. Raises
        `MemoryError` above `limit` states.
        """
        first = first or self.steady()
        result = Result(states=1)
        seen = {hash(first)}
        level = deque([first])
        while level:
            result.depth += 1
            for world in [level.popleft() for _ in range(len(level))]:
                for after, broken in self._successors(world):
                    key = hash(after)
                    if key in seen:
                        continue
                    seen.add(key)
                    result.gap_ms = max(result.gap_ms, after.gap * STEP_MS)
                    result.roles.update(state.role for state in after.nodes)
                    if broken:
                        result.violation = after
                        return result
                    level.append(after)
            result.states = len(seen)
            if result.states > limit:
                raise MemoryError(f"more than {limit} states")
        return result

    def path_to(self, last: ModelState, first: ModelState | None = None) -> list[ModelState]:
        """Return a shortest way to `last`, for a person who reads a violation."""
        first = first or self.steady()
        before: dict[ModelState, ModelState | None] = {first: None}
        queue = deque([first])
        while queue and last not in before:
            world = queue.popleft()
            for after, _ in self._successors(world):
                if after not in before:
                    before[after] = world
                    queue.append(after)
        path = [last]
        while (world_before := before[path[-1]]) is not None:
            path.append(world_before)
        return path[::-1]

    def starting(self, has_link: bool = True) -> ModelState:
        """Return the state in which both controllers start in the same moment."""
        start = self.table.start()
        whole = NodeHealth(link=has_link)
        return ModelState((start, start), (whole, whole), -1, -1, CYCLE_STEPS, 0, self.faults)

    def steady(self, has_link: bool = True) -> ModelState:
        """Return the state after a start without faults: `a` is active, `b` is standby.

        Without a link it stays cut if `link` is not in the kinds of faults.
        """
        if "third" in self.kinds:
            return PairModel(self.faults, self.kinds - {"third"}, self.table).steady(has_link)
        world = self.starting(has_link)
        while world.writer < 0 or world.nodes[1].role != self.table.STANDBY:
            world, _ = max(self._advance(world), key=lambda choice: choice[0].nodes[0].role)
        return world

    def _successors(self, world: ModelState) -> Iterator[tuple[ModelState, bool]]:
        for event in self._events(world):
            yield from self._advance(event)

    def _events(self, world: ModelState) -> Iterator[ModelState]:
        """Yield the state without an event, and with each fault or repair."""
        yield world
        left = world.faults - 1
        for node, health in enumerate(world.health):
            if health.power == ON:
                if left >= 0:
                    if "power" in self.kinds:
                        yield self._changed(world, node, left, health._replace(power=OFF))
                    if "pause" in self.kinds:
                        yield self._changed(world, node, left, health._replace(power=PAUSED))
                    if "swap" in self.kinds and world.nodes[node].role == self.table.ACTIVE:
                        yield world._replace(faults=left, command=node, gap=0)
            elif health.power == OFF:
                started = self._with_node(world, node, self.table.start())
                yield self._changed(started, node, world.faults, health._replace(power=ON))
            else:
                good = health._replace(power=ON, paused_ms=0, waits=False)
                for late in self._awake(world, node):
                    yield self._changed(
                        self._with_node(world, node, late), node, world.faults, good
                    )
            for name, kind in (("receiver", "port"), ("driver", "port"), ("link", "link")):
                if kind not in self.kinds:
                    continue
                works = getattr(health, name)
                if works and left < 0:
                    continue
                changed = health._replace(**{name: not works})
                yield self._changed(world, node, left if works else world.faults, changed)

    def _awake(self, world: ModelState, node: int) -> list[Any]:
        """Return the states of a controller after a pause.

        A reply to its last request can have waited in the buffer of the port, if the receiver
        works. So can requests of another master in the pause.
        """
        silence = self.table.SILENCE
        events = [silence]
        if world.health[node].receiver and self.table.request_of(world.nodes[node]):
            events.append(silence._replace(reply=True))
        if world.health[node].waits:
            events += [seen._replace(request=True) for seen in events]
        paused_ms = world.health[node].paused_ms
        return [self._step(node, world.nodes[node], seen, paused_ms) for seen in events]

    @staticmethod
    def _changed(world: ModelState, node: int, faults: int, health: NodeHealth) -> ModelState:
        both = (health, world.health[1]) if node == 0 else (world.health[0], health)
        return world._replace(health=both, faults=faults, gap=0)

    @staticmethod
    def _with_node(world: ModelState, node: int, state: Any) -> ModelState:
        return world._replace(
            nodes=(state, world.nodes[1]) if node == 0 else (world.nodes[0], state)
        )

    def _advance(self, world: ModelState) -> Iterator[tuple[ModelState, bool]]:
        choices = [self._frames(world, node) for node in (0, 1)]
        for sends in itertools.product(*choices):
            for reached, sounds in self._wire(world, sends):
                yield self._after(world, reached, sounds)
            if "third" in self.kinds:
                for reached, sounds in self._third(world, sends):
                    yield self._after(world, reached, sounds)

    def _third(
        self, world: ModelState, sends: tuple[int, ...]
    ) -> Iterator[tuple[tuple[bool, bool], tuple[str, str]]]:
        """Yield the outcomes with a request of a third master in this step.

        It comes apart from the other frames, or destroys them and is destroyed.
        """
        for reached, sounds in self._wire(world, sends):
            both = [_with_request(s, world.health[n].receiver) for n, s in enumerate(sounds)]
            yield reached, (both[0], both[1])
        if any(sends):
            for pair in (("g", "g"), ("g", ""), ("", "g"), ("", "")):
                lost = [s if world.health[n].receiver else "" for n, s in enumerate(pair)]
                yield (False, False), (lost[0], lost[1])

    def _frames(self, world: ModelState, node: int) -> tuple[int, ...]:
        """Return the frames that a controller can send: an active one can be silent for 300 ms."""
        if world.health[node].power != ON:
            return (0,)
        state = world.nodes[node]
        request = self.table.request_of(state)
        if state.role == self.table.ACTIVE and state.reply_ms <= 200:
            return (0, request)
        return (request,)

    def _wire(
        self, world: ModelState, sends: tuple[int, ...]
    ) -> Iterator[tuple[tuple[bool, bool], tuple[str, str]]]:
        """Yield which frames reach the devices, and what each receiver gets.

        Sounds: r reply to the own request, q request of the other, g garbage, b both r and q, t
        request of a third master, u both r and t.
        """
        on_line = [bool(sends[n]) and world.health[n].driver for n in (0, 1)]
        outcomes: list[tuple[tuple[bool, bool], tuple[str, str]]]
        if all(on_line):
            outcomes = [((True, True), ("b", "b"))]
            outcomes += [
                ((False, False), pair) for pair in (("g", "g"), ("g", ""), ("", "g"), ("", ""))
            ]
            outcomes += [((True, False), ("r", "g")), ((False, True), ("g", "r"))]
        elif on_line[0]:
            outcomes = [((True, False), ("r", "q"))]
        elif on_line[1]:
            outcomes = [((False, True), ("q", "r"))]
        else:
            outcomes = [((False, False), ("", ""))]
        done = set()
        for reached, sounds in outcomes:
            events = tuple(s if world.health[n].receiver else "" for n, s in enumerate(sounds))
            if (reached, events) not in done:
                done.add((reached, events))
                yield reached, (events[0], events[1])

    def _after(
        self, world: ModelState, reached: tuple[bool, bool], sounds: tuple[str, str]
    ) -> tuple[ModelState, bool]:
        table = self.table
        writers = [
            n for n in (0, 1) if reached[n] and table.may_write(world.nodes[n], self.timers[n])
        ]
        broken = len(writers) == 2
        writer, written = world.writer, min(world.written + 1, CYCLE_STEPS)
        for node in writers:
            broken = broken or (world.writer not in (node, -1) and written < CYCLE_STEPS)
            writer, written = node, 0
        if written >= CYCLE_STEPS:
            writer = -1
        nodes, health, newer = [], [], world.newer
        for node in (0, 1):
            state, own = world.nodes[node], world.health[node]
            if own.power == ON:
                after = self._step(node, state, self._events_of(world, node, sounds[node]), STEP_MS)
                if after.role == table.ACTIVE != state.role:
                    newer = node
            else:
                after = state
                if own.power == OFF:
                    after = table.start()
                else:
                    own = own._replace(
                        paused_ms=min(own.paused_ms + STEP_MS, 2000),
                        waits=own.waits or sounds[node] in WITH_REQUEST,
                    )
            nodes.append(after)
            health.append(own)
        active = [state.role == table.ACTIVE for state in nodes]
        if not all(active):
            newer = 0 if active[0] else 1 if active[1] else -1
        gap = 0
        if not writers and any(h.whole for h in health):
            gap = min(world.gap + 1, self._most_gap)
        states, healths = (nodes[0], nodes[1]), (health[0], health[1])
        return ModelState(states, healths, newer, writer, written, gap, world.faults), broken

    def _events_of(self, world: ModelState, node: int, sound: str) -> Any:
        table, peer = self.table, 1 - node
        word = table.NO_WORD
        if world.health[peer].power == ON and all(health.link for health in world.health):
            word = table.word_of(world.nodes[peer], self.timers[peer])
        beacon = table.NO_BEACON
        if sound in ("q", "b") and world.nodes[peer].role == table.ACTIVE:
            beacon = table.NEWER_BEACON if world.newer == peer else table.OLDER_BEACON
        command = table.SWAP if world.command == node else table.NO_COMMAND
        key = (sound, beacon, word, command)
        events = self._event_sets.get(key)
        if events is None:
            events = table.LineEvents(
                reply=sound in ("r", "b", "u"),
                request=sound in WITH_REQUEST,
                garbage=sound == "g",
                beacon=beacon,
                word=word,
                command=command,
                ready=True,
            )
            self._event_sets[key] = events
        return events

    def _step(self, node: int, state: Any, events: Any, elapsed_ms: int) -> Any:
        key = (node, state, events, elapsed_ms)
        after = self._steps.get(key)
        if after is None:
            after = self.table.step(state, events, elapsed_ms, self.timers[node])
            self._steps[key] = after
        return after


def _with_request(sound: str, receives: bool) -> str:
    if not receives:
        return sound
    return {"": "t", "q": "q", "r": "u", "b": "b", "g": "t"}[sound]
