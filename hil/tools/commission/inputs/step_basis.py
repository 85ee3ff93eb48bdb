# SPDX-License-Identifier: Apache-2.0
"""Binds the results of the steps to the files from which they were taken.

Does not run steps, and does not read devices. From step `values` on, the journal keeps hashes: of
each device (port, unit address, content of its profile), and of each section of `unit.json`. Before
a step, and before a result is shown again, the hashes of the present files are compared with those
of all steps that are done. So the facts of one device are never signed as those of another one, and
an output that was not tested is not controlled.

A profile can be edited after `describe`, and sections can be added to `unit.json` before `check`.
"""

from pathlib import Path
from typing import Any

from agent.config.tested_devices import device_hash
from drivers.tools.lib.arguments import raw_profile
from hil.errors import BenchError
from hil.run.unit.unit_file import (
    Basis,
    UnitFile,
    basis_of,
    find_differences,
    load_unit,
)
from hil.tools.commission.outputs.commissioning_check import BOUND
from hil.tools.commission.outputs.journal import Journal

_OF_UNIT = ("check", "twin-acceptance", "tune", "site-acceptance")
"""Steps that read `unit.json`. `tune` also changes it; `propose` writes it."""
_CHANGING = ("propose", "tune")


class StepBasis:
    """The hashes of the steps of one site."""

    def __init__(self, journal: Journal, unit_file: Path) -> None:
        self._journal, self._unit_file = journal, unit_file

    def check(self) -> Basis:
        """Return the present hashes. Raises BenchError if a step that is done had others."""
        present = self._present()
        devices = present["devices"]
        for step in self._done(BOUND):
            kept = self._journal.basis(step)
            if kept is None:
                raise BenchError(
                    f"step `{step}` is of an earlier version, which did not keep what it was taken "
                    f"from; repeat it with `--from {step}`"
                )
            changed = _changed(kept["devices"], devices)
            if changed:
                raise BenchError(
                    f"port, unit address or profile of {changed} has changed since step `{step}`; "
                    f"repeat it with `--from {step}`"
                )
        if self._done(("propose",)):
            self._check_unit(self._load(), present)
        return present

    def check_unit(self, unit: UnitFile) -> None:
        """Raise BenchError if a loaded configuration is not that of the steps."""
        self._check_unit(basis_of(unit), self._present())

    def end(self, step: str, before: Basis) -> Basis | None:
        """Return what the journal keeps of a step; None: nothing. `before`: as `check` gave it.

        Raises BenchError if a file has changed while the step ran.
        """
        if step not in BOUND:
            return None
        kept = self._present()
        is_same = kept == before
        if step in _OF_UNIT or step == "propose":
            kept["sections"] = self._load()["sections"]
            is_same = step in _CHANGING or kept["sections"] == before["sections"]
        if not is_same or kept["devices"] != before["devices"]:
            raise BenchError(
                f"a profile or {self._unit_file} has changed while step `{step}` ran; call the "
                "command again"
            )
        return kept

    def _present(self) -> Basis:
        devices: list[dict[str, Any]] = self._journal.get("describe") or []
        return {
            "devices": {
                device["name"]: device_hash(
                    device["port"], device["unit"], raw_profile(device["profile"])
                )
                for device in devices
            },
            "sections": {},
        }

    def _load(self) -> Basis:
        try:
            return basis_of(load_unit(self._unit_file))
        except BenchError as error:
            raise BenchError(f"{error}\nrepeat the step with `--from propose`") from None

    def _check_unit(self, unit: Basis, present: Basis) -> None:
        """Compare a configuration with the devices and the last step; add its sections."""
        changed = _changed(present["devices"], unit["devices"])
        if changed:
            raise BenchError(
                f"{self._unit_file}: {changed} is not the device that was tested: its port, unit "
                "address or profile is another; `--from propose` writes the tested one again, and "
                "another device needs `--from ports`"
            )
        present["sections"] = unit["sections"]
        last = [step for step in self._done(_OF_UNIT) if self._journal.basis(step)]
        if last:
            kept = self._journal.basis(last[-1])
            differences = find_differences(kept or present, present)
            if differences:
                raise BenchError(
                    f"{self._unit_file}: {', '.join(differences)} has changed since step "
                    f"`{last[-1]}`; repeat the steps with `--from check`"
                )

    def _done(self, steps: tuple[str, ...]) -> list[str]:
        return [step for step in steps if self._journal.get(step) is not None]


def _changed(old: dict[str, str], new: dict[str, str]) -> str:
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return ", ".join(names)
