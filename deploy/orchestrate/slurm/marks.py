# SPDX-License-Identifier: Apache-2.0
"""Marks in Slurm: what a node or a job shows of our changes.

Does not change anything; see `deploy.orchestrate.slurm.actuator`.

    weight      the first weight of a node is in its comment: coldloop:weight=1
    drain       the reason of the node begins with coldloop:
    suspension  the admin comment of the job begins with coldloop:suspended; with coldloop:resumed
                after a person has resumed it: it is not suspended again until the level has ended
    partition   the reasons of all our drained nodes have down=NAME; written before the partition
"""

from deploy.orchestrate.slurm.client import SlurmJob, SlurmNode

PREFIX = "coldloop:"
SUSPENDED = PREFIX + "suspended"
RESUMED = PREFIX + "resumed"
WEIGHT_MARK = PREFIX + "weight="
DOWN_MARK = "down="


def is_suspended(job: SlurmJob) -> bool:
    """Return whether we have suspended the job."""
    return job.admin_comment.startswith(SUSPENDED)


def is_resumed(job: SlurmJob) -> bool:
    """Return whether a person has resumed the job that we had suspended."""
    return job.admin_comment.startswith(RESUMED)


def is_drained(node: SlurmNode) -> bool:
    """Return whether we have drained the node."""
    return node.reason.startswith(PREFIX) and "DRAIN" in node.states


def down_partitions(node: SlurmNode) -> set[str]:
    """Return the partitions that we have set down, by the reason of a node."""
    if not node.reason.startswith(PREFIX):
        return set()
    return {word[len(DOWN_MARK) :] for word in node.reason.split() if word.startswith(DOWN_MARK)}


def first_weight(node: SlurmNode) -> int | None:
    """Return the weight of a node before our change; None: we have not changed it."""
    if not node.comment.startswith(WEIGHT_MARK):
        return None
    text = node.comment[len(WEIGHT_MARK) :].split(" ", 1)[0]
    return int(text) if text.isdecimal() else None


def without_weight(comment: str) -> str:
    """Return the comment of a node without our mark."""
    first, _, rest = comment.partition(" ")
    return rest if first.startswith(WEIGHT_MARK) else comment


def without_mark(comment: str) -> str:
    """Return the admin comment of a job without our mark."""
    first, _, rest = comment.partition(" ")
    return rest.strip() if first in (SUSPENDED, RESUMED) else comment
