# SPDX-License-Identifier: Apache-2.0
"""The old words of the outputs during a commissioning: kept, written back, and reported.

Does not choose a test value; see `hil.tools.commission.write_test`. The words are in the journal
from before the first write until the device has them again. Thus they survive the end of the
program.
"""

from collections.abc import Callable
from typing import Any

from drivers.errors import DriverError
from hil.errors import BenchError
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.inputs.dialogue import Dialogue
from hil.tools.commission.journal import Journal
from hil.tools.commission.write_test import OldWords, deferred_signals, restore

Device = dict[str, Any]


class OutputGuard:
    """The outputs of one site. `open_device` opens a device."""

    def __init__(
        self, journal: Journal, dialogue: Dialogue, open_device: Callable[[Device], DeviceAccess]
    ) -> None:
        self._journal, self._dialogue, self._open = journal, dialogue, open_device
        self._restored: list[str] = []

    def keep(self, device: Device, point: str, old: OldWords | None) -> None:
        """Store the old words of an output; None: the device has them again.

        An entry without words: another master has the output, so they are not written back.
        """
        if old is not None and old.words:
            self._journal.keep_words(device, old._asdict())
            return
        self._journal.forget_words(device, point)
        if old is None:
            self._restored.append(point)

    def problems(self) -> list[str]:
        """Return a line for each output that is perhaps not at its old words."""
        return [
            f"{old['point']} is perhaps not at its old words {old['words']} (register "
            f"{old['address']})"
            for old in (pending["old"] for pending in self._journal.pending_writes)
        ]

    def describe(self) -> str:
        """Return in which state the outputs are, for the end of the program."""
        problems = self.problems()
        if problems:
            return f"{'; '.join(problems)}; the next call writes them back"
        if self._restored:
            points = ", ".join(dict.fromkeys(self._restored))
            return f"{points}: the old value was written back; no program controls the CDU"
        return "the outputs of the CDU keep their present values; no program controls it"

    def keep_all(self, devices: list[Device]) -> None:
        """Store the words of all outputs before the agent gets them. Raises BenchError."""
        for device in devices:
            with self._open(device) as access:
                for name in access.outputs():
                    point = access.profile.points[access.device.point_index(name)]
                    words, error = access.read_words(point.function, point.address, point.registers)
                    if error:
                        raise BenchError(f"{device['name']}.{name}: {error}")
                    old = OldWords(name, point.function, point.address, words)
                    self.keep(device, name, old)

    def release_all(self) -> None:
        """Forget the words: the outputs shall keep the values that the agent gave them."""
        for pending in self._journal.pending_writes:
            self._journal.forget_words(pending["device"], pending["old"]["point"])

    def restore_all(self) -> list[str]:
        """Write all pending words back; return a line for each that is not back."""
        problems = []
        for pending in self._journal.pending_writes:
            device, old = pending["device"], OldWords(**pending["old"])
            where = f"{device['port']} unit {device['unit']}: {old.point}, register {old.address}"
            try:
                with deferred_signals(), self._open(device) as access:
                    problem = restore(access, old)
            except DriverError as error:
                problem = str(error)
            if problem:
                problems.append(
                    f"{where}: the old words {old.words} are not back after a test: {problem}. "
                    "Write them by hand, or call this command again"
                )
                continue
            self.keep(device, old.point, None)
            self._dialogue.say(f"{where}: old words {old.words} are back after a test")
        return problems
