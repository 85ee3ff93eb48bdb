# SPDX-License-Identifier: Apache-2.0
"""Budget of changes for each alarm code, so that one alarm that chatters does not use up all.

Does not know what a change costs, and holds nothing back; see `agent.satcom.ram_queue` and
`agent.retain.alarm_history`. A code regains one used change in each `regain_us`. A code that has
regained all needs no memory.
"""


class ChangeBudget:
    """Used changes by code. `regain_us`: time after which one of them is regained, µs."""

    def __init__(self, regain_us: int) -> None:
        self._regain_us = regain_us
        self._used: dict[str, list[int]] = {}
        """Used changes, and the time since which the next one is regained."""

    def __len__(self) -> int:
        """Return the number of codes with a used change."""
        return len(self._used)

    def count_used(self, code: str, now: int) -> int:
        """Return the used changes of a code at `now`, µs."""
        used = self._used.get(code)
        if used is None:
            return 0
        regained = (now - used[1]) // self._regain_us
        used[0] -= regained
        used[1] += regained * self._regain_us
        if used[0] <= 0:
            del self._used[code]
        return max(0, used[0])

    def use(self, code: str, now: int) -> None:
        """Use one change of a code."""
        if not self.count_used(code, now):
            for calm_code in list(self._used):
                self.count_used(calm_code, now)
            self._used[code] = [0, now]
        self._used[code][0] += 1
