# SPDX-License-Identifier: Apache-2.0
"""Measures of the hazard analysis: times from an event to the reaction, and untrue reports.

They come from the plant, the loads and the wire, except `alarm_after_s`. Before its event a time is
not known. Until the reaction a time is the time since the event. So `max` fails as soon as the
reaction is too late. The argument `@WORD` selects the first event with this word. Without it the
first event of the scenario counts.
"""

from collections.abc import Callable
from weakref import WeakKeyDictionary

from agent.alarms.alarm_filter import AlarmFilter, Notice
from agent.alarms.grouping import Buses, buses_of
from hil.bench.load_bank import LoadBank
from hil.bench.testbed import Testbed
from hil.kernel.run_history import RunHistory
from hil.measure.base import Measure, ReadFunction, Status

OFF_FRACTION = 0.05
"""Loads below this fraction of their rating are off."""
_RATED_KW = 100.0


def first_limit_us(bank: LoadBank, since_us: int) -> int | None:
    """Give the time of the first limit below the rating, or of the first switching off, or None."""
    times = [
        at_us
        for bmc in bank.bmcs.values()
        for at_us, name, watts in bmc.patches
        if at_us >= since_us and watts < bmc.loads[name].rated_w
    ]
    times += [
        at_us
        for bmc in bank.bmcs.values()
        for at_us, _, is_on in bmc.resets
        if at_us >= since_us and not is_on
    ]
    times += [at_us for at_us, _, value in bank.pdu.switch_log if at_us >= since_us and value == 0]
    return min(times, default=None)


def reported_off(status: Status) -> list[str]:
    """Name the loads of which an alarm says that they are switched off."""
    prefix = "load_shed:"
    return [
        alarm["code"].removeprefix(prefix)
        for alarm in status["alarms"]
        if alarm["code"].startswith(prefix) and "is switched off" in alarm["text"]
    ]


def _delay(find: Callable[[Testbed, int, str], int | None]) -> ReadFunction:
    """Read the time from an event to what `find` finds."""

    def read(testbed: Testbed, _: Status, argument: str) -> float | None:
        code, _separator, word = argument.partition("@")
        since_us = testbed.history.event_us(word)
        if since_us is None:
            return None
        at_us = find(testbed, since_us, code)
        return ((testbed.world.now if at_us is None else at_us) - since_us) / 1e6

    return read


def _alarm_us(testbed: Testbed, since_us: int, code: str) -> int | None:
    return testbed.history.alarm_us(code, since_us)


def _limit_us(testbed: Testbed, since_us: int, _: str) -> int | None:
    return None if testbed.load_bank is None else first_limit_us(testbed.load_bank, since_us)


def _off_us(testbed: Testbed, since_us: int, _: str) -> int | None:
    """Find the first sample with all loads off, by their electrical power.

    The heat at the dies follows the power with a lag of 2 s.
    """
    key, bank = f"off since {since_us}", testbed.load_bank
    drawn_kw = testbed.plant.it_kw
    if bank is not None:
        drawn_kw = sum(load.watts(testbed.world.now) for load in bank.loads) / 1000.0
    if drawn_kw < OFF_FRACTION * _RATED_KW * testbed.settings.size:
        return testbed.history.keep_first(key, testbed.world.now)
    return testbed.history.first_us(key)


def _reported_off_w(testbed: Testbed, status: Status, _: str) -> float | None:
    bank = testbed.load_bank
    if bank is None:
        return None
    names = reported_off(status)
    return sum(load.watts(testbed.world.now) for load in bank.loads if load.name in names)


def _count_messages(testbed: Testbed, status: Status, argument: str) -> float | None:
    """Count the messages to a person since the event: all changes of alarms through the filter."""
    history = testbed.history
    since_us = history.event_us(argument.removeprefix("@"))
    if since_us is None:
        return None
    buses = buses_of(status)
    follower = _followers.get(history)
    if follower is None or follower.buses != buses:
        follower = _followers[history] = _AlarmFollower(buses)
    found = follower.read(history.changes, testbed.world.now // 1000)
    return sum(
        notice.event != "cleared" and notice.time_ms * 1000 >= since_us - 1000 for notice in found
    )


class _AlarmFollower:
    """The messages of a history that grows: its filter follows each change once.

    The time of a reading must not change the messages. So a copy of the filter gets that time.
    """

    def __init__(self, buses: Buses) -> None:
        self.buses = buses
        self._people = AlarmFilter(buses)
        self._found: list[Notice] = []
        self._count = 0

    def read(self, changes: list[tuple[int, bool, str]], now_ms: int) -> list[Notice]:
        """Return all messages until now; `changes` are those of the history."""
        for at_us, is_raised, code in changes[self._count :]:
            self._found += self._people.poll(at_us // 1000)
            self._people.change(at_us // 1000, is_raised, code)
        self._count = len(changes)
        copy = AlarmFilter(self.buses)
        copy.load(self._people.dump())
        return self._found + copy.poll(now_ms)


_followers: WeakKeyDictionary[RunHistory, _AlarmFollower] = WeakKeyDictionary()


HAZARD_MEASURES: dict[str, Measure] = {
    "alarm_after_s": Measure(
        "s",
        "time from an event to the first alarm of the code in the argument, as CODE or CODE@WORD",
        _delay(_alarm_us),
        "alarm_event",
    ),
    "limit_after_s": Measure(
        "s",
        "time from an event to the first limit or switching off at a load, as limit_after_s:@WORD",
        _delay(_limit_us),
        "event",
    ),
    "off_after_s": Measure(
        "s",
        "time from an event until the IT draws less than 5 % of its rating, as off_after_s:@WORD",
        _delay(_off_us),
        "event",
    ),
    "messages": Measure(
        "1",
        "number of alarm messages that reach a person since an event, as messages:@WORD",
        _count_messages,
        "event",
    ),
    "told_off_w": Measure(
        "W", "true power of the loads of which an alarm says that they are off", _reported_off_w
    ),
}
"""Merged into `hil.measure.registry.MEASURES`."""
