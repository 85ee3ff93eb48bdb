"""The jobs that wait on one bus, in the order in which they may go out.

Not a clock and not a wire: when the line is free is the bus's affair. Two queues. `polls` are
served first come, first served. `urgent` holds writes and stops, the more urgent in front. A newer
write to the same registers makes an older one that waits pointless: it is taken out, so that an old
value never goes out after a newer one.

Both lists stay the same objects for good: the bus looks at them at every turn.
"""

from drivers.modbus.transaction import POLL, Job, alike, replaces
from protocols.time_units import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.duplicate_filter import Copies
    from drivers.modbus.stale_reply_guard import Shadows


class Queues:
    """What waits; it bounds nothing, the bus refuses what is too much."""

    def __init__(self) -> None:
        self.polls: list[Job] = []
        self.urgent: list[Job] = []

    def add_urgent(self, job: Job) -> "list[Job]":
        """Queue a write or a stop; returns the older writes that it replaces, taken out."""
        urgent = self.urgent
        older = [other for other in urgent if replaces(job, other)]
        for other in older:
            urgent.remove(other)
        urgent.insert(len([1 for other in urgent if other.level >= job.level]), job)
        return older

    def put_back(self, job: Job, in_front: bool) -> bool:
        """Queue a job from the wire once more; False if a newer write has replaced it meanwhile."""
        queue = self.urgent if job.level else self.polls
        at = 0
        if job.level:
            for other in queue:
                if replaces(other, job):
                    return False
            at = len([1 for other in queue if other.level > job.level])
        queue.insert(at if in_front else len(queue), job)
        return True

    def take_polls(self, unit: int) -> "list[Job]":
        """Take out every poll of a unit."""
        taken = [job for job in self.polls if job.unit == unit]
        for job in taken:
            self.polls.remove(job)
        return taken

    def take_all(self) -> "list[Job]":
        """Take out everything."""
        jobs = self.urgent + self.polls
        self.urgent.clear()
        self.polls.clear()
        return jobs

    def first_free(
        self, now: int, shadows: "Shadows", copies: "Copies"
    ) -> "tuple[Job | None, int]":
        """Take out the first job that neither a pause, a shadow nor a second copy holds.

        Without one: a read that proves a shadow to be over, if there is such a read, else None and
        when to look again.
        """
        held: list[Job] = []
        free_at = NEVER
        for queue in (self.urgent, self.polls):
            for i, job in enumerate(queue):
                until = job.after
                if not job.level:
                    until = max(until, shadows.until(job, now), copies.held_until(job, now))
                    if [1 for other in held if alike(other, job)]:
                        until = NEVER  # it must not overtake what looks the same
                if until <= now:
                    return queue.pop(i), 0
                held.append(job)
                free_at = min(free_at, until)
        for job in held:
            proof = None if job.after > now else shadows.distinguishing(job, now, copies)
            if proof is not None:
                return Job(job.unit, proof, None, POLL, 0, job.health), 0
        return None, free_at
