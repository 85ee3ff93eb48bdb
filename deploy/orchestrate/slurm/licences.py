# SPDX-License-Identifier: Apache-2.0
"""The reservation in Slurm that holds the licences for which the row has no heat headroom.

Does not decide a level; see `deploy.orchestrate.rules`. A licence is 1 kW of heat. The reservation
ends by itself after `reservation_min` and is renewed each half of that. One of the same name that
has nodes is of another person: it is never changed. Licences that other reservations hold are not
free, and are not held a second time: Slurm would refuse it.
"""

import math
from collections.abc import Callable

from deploy.orchestrate.rules import DRAIN, RowDecision
from deploy.orchestrate.settings import RuleSettings, SlurmSettings
from deploy.orchestrate.slurm.client import SlurmClient, SlurmError, SlurmJob, SlurmLicence
from deploy.orchestrate.slurm.marks import is_suspended

_RELEASE_STEP = 3
"""Fewer licences are not released apart, so that a noisy reading makes no calls."""


class LicenceReservation:
    """The reservation. `held`: licences by name; `log` gets one line for each change."""

    def __init__(
        self,
        client: SlurmClient,
        settings: SlurmSettings,
        rules: RuleSettings,
        log: Callable[[str], None],
    ) -> None:
        self._client = client
        self._settings = settings
        self._rules = rules
        self._log = log
        self.held: dict[str, int] = {}
        self._present: dict[str, int] = {}
        self._free: dict[str, int] = {}
        self._released_at: dict[str, float] = {}
        self._renewed_at: float | None = None
        self._missing: set[str] = set()

    def forget(self) -> None:
        """Forget what was free: the next release is immediate."""
        self._free = {}

    def delete(self) -> None:
        """Delete the reservation, if there is one. Raises SlurmError."""
        found = self._client.reservations().get(self._settings.reservation)
        if found is not None and not found.has_nodes:
            self._client.control("delete", f"reservationname={self._settings.reservation}")
            self._log(f"slurm: reservation {self._settings.reservation} deleted")

    def was_deleted(self) -> bool:
        """Read the reservation; return whether another process has undone all. Raises SlurmError:
        the name is taken.
        """
        name = self._settings.reservation
        found = self._client.reservations().get(name)
        if found is not None and found.has_nodes:
            self.held = {}
            raise SlurmError(f"reservation {name} has nodes, so it is not of coldloop: rename it")
        self._present = {} if found is None else found.licences
        return bool(self.held) and not self._present

    def hold(self, decisions: list[RowDecision], jobs: list[SlurmJob], now: float) -> None:
        """Hold what may not start, after `was_deleted`. Raises SlurmError."""
        present = self._client.licences()
        names = {decision.row.licence for decision in decisions}
        for name in sorted(names - set(present) - self._missing):
            self._missing.add(name)
            self._log(f"slurm: no licence {name} in slurm.conf")
        wanted = {}
        for name in sorted(names & set(present)):
            rows = [decision for decision in decisions if decision.row.licence == name]
            licence = present[name]
            waiting = sum(job.licences.get(name, 0) for job in jobs if is_suspended(job))
            ours = licence.total - self._of_others(licence)
            free = min(
                free_kw(rows, licence.used, self._rules.reserve_pct, waiting),
                ours - licence.used,
            )
            free = self._limit_release(name, free, now)
            # Without free licences all are held, so that the end of a job starts no other one.
            count = ours - licence.used - free if free > 0 else ours
            if count > 0:
                wanted[name] = count
        self._reserve(wanted, self._present, now)
        self.held = wanted

    def _of_others(self, licence: SlurmLicence) -> int:
        """Return the licences that reservations of other people hold."""
        return max(0, licence.reserved - self._present.get(licence.name, 0))

    def _limit_release(self, name: str, free: int, now: float) -> int:
        """Return the free licences: fewer immediately, more at most once in `change_s`."""
        before = self._free.get(name)
        if before is not None and free > before:
            if free - before < _RELEASE_STEP and before > 0:
                return before
            released_at = self._released_at.get(name)
            if released_at is not None and now - released_at < self._rules.change_s:
                return before
            self._released_at[name] = now
        self._free[name] = free
        return free

    def _reserve(self, wanted: dict[str, int], held: dict[str, int], now: float) -> None:
        name, minutes = self._settings.reservation, self._settings.reservation_min
        text = ",".join(f"{licence}:{count}" for licence, count in wanted.items())
        is_due = self._renewed_at is None or now - self._renewed_at >= 30.0 * minutes
        if wanted == held and not (held and is_due):
            return
        if not wanted:
            self._client.control("delete", f"reservationname={name}")
        elif held:
            end = f"endtime=now+{minutes}minutes"
            self._client.control("update", f"reservationname={name}", f"licenses={text}", end)
        else:
            options = ("starttime=now", f"duration={minutes}", "user=root")
            flags = "flags=license_only,ignore_jobs"
            self._client.control(
                "create", "reservation", f"reservationname={name}", *options,
                f"licenses={text}", flags,
            )  # fmt: skip
        if held != wanted:
            self._log(f"slurm: reservation {name} holds {text or 'nothing'}")
        self._renewed_at = now


def free_kw(
    decisions: list[RowDecision], used_kw: int, reserve_pct: float, waiting_kw: int = 0
) -> int:
    """Return the licences in kW that may start now.

    The lower of two: capacity less what is used and what no job asks for; and the headroom. The
    first counts a job from its start, before its heat shows. The second counts heat that no job
    has asked for, and leaves `waiting_kw` for suspended jobs: they are resumed first. Both leave
    `reserve_pct` of the rating. A row that drains adds nothing.
    """
    capacity_kw, headroom_kw = 0.0, -float(waiting_kw)
    for decision in decisions:
        row = decision.row
        reserve_kw = row.rated_kw * reserve_pct / 100.0
        capacity_kw += max(0.0, decision.capacity_w / 1000.0 - row.base_kw - reserve_kw)
        if decision.level < DRAIN:
            headroom_kw += max(0.0, decision.headroom_w / 1000.0 - reserve_kw)
    return max(0, math.floor(min(capacity_kw - used_kw, headroom_kw)))
