# SPDX-License-Identifier: Apache-2.0
"""What happened in a run, with times: events of the scenario, alarms of the agent.

Does not judge. The timeline adds events, the virtual run adds the lines of the console. In real
time nothing adds the lines, so that times of alarms are not known there.
"""

_RAISED, _CLEARED = "alarm raised ", "alarm cleared "


class RunHistory:
    """Events, alarms and first times, all in µs of the world; `active` holds the active codes.

    events   (time, word) in order
    raised   (time, code, text) in order
    changes  (time, whether raised, code) in order
    """

    def __init__(self) -> None:
        self.events: list[tuple[int, str]] = []
        self.raised: list[tuple[int, str, str]] = []
        self.changes: list[tuple[int, bool, str]] = []
        self.active: dict[str, int] = {}
        self._first: dict[str, int] = {}

    def add_event(self, now: int, word: str) -> None:
        """Add the start of an event."""
        self.events.append((now, word))

    def add_console(self, now: int, line: str) -> None:
        """Add a line of the agent's console."""
        if line.startswith(_RAISED):
            code, _, text = line.removeprefix(_RAISED).partition(": ")
            self.raised.append((now, code, text.strip()))
            self.changes.append((now, True, code))
            self.active[code] = now
        elif line.startswith(_CLEARED):
            code = line.removeprefix(_CLEARED).partition(": ")[0]
            self.changes.append((now, False, code))
            self.active.pop(code, None)

    def event_us(self, word: str) -> int | None:
        """Give the time of the first event with this word ("": of any), or None."""
        return next((at for at, name in self.events if word in ("", name)), None)

    def alarm_us(self, code: str, since_us: int) -> int | None:
        """Give the time of the first alarm of `code`, with or without its source, or None.

        An alarm that was active at `since_us` counts as raised then.
        """
        for at_us, name, _ in self.raised:
            if at_us >= since_us and matches_code(name, code):
                return at_us
        if any(matches_code(name, code) and at <= since_us for name, at in self.active.items()):
            return since_us
        return None

    def keep_first(self, key: str, now: int) -> int:
        """Give the time of the first call with `key`."""
        return self._first.setdefault(key, now)

    def first_us(self, key: str) -> int | None:
        """Give the time of the first `keep_first` with `key`, or None."""
        return self._first.get(key)


def matches_code(name: str, code: str) -> bool:
    """Return whether an alarm has this code; `name` is a code with or without its source."""
    return name == code or name.split(":", maxsplit=1)[0] == code
