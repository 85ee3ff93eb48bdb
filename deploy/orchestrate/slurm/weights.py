# SPDX-License-Identifier: Apache-2.0
"""Weights of nodes in Slurm: rows with less headroom get a larger one, so that jobs go elsewhere.

Does not decide a level; see `deploy.orchestrate.rules`. The mark with the first weight is in the
comment of the node (`deploy.orchestrate.slurm.marks`). A weight that is not the first one plus a
step is of a person: it is the first one from then on, and stays. If a person has replaced the
comment, this process still knows the first weight.
"""

import math
from collections.abc import Iterable, Mapping

from deploy.orchestrate.rules import RowDecision
from deploy.orchestrate.slurm.client import SlurmClient, SlurmNode
from deploy.orchestrate.slurm.marks import WEIGHT_MARK, first_weight, without_weight

_STEPS, _STEP = 4, 100
_POSSIBLE = range(0, _STEPS * _STEP + 1, _STEP)


class NodeWeights:
    """Sets and resets weights."""

    def __init__(self, client: SlurmClient) -> None:
        self._client = client
        self._set: dict[str, tuple[int, int]] = {}  # first weight, weight set

    def weigh(self, decisions: list[RowDecision], nodes: Mapping[str, SlurmNode]) -> bool:
        """Give each row its weight, in steps of a quarter of the rating; return if one changed.

        Raises SlurmError.
        """
        changed = False
        for decision in decisions:
            part = decision.headroom_w / (1000.0 * decision.row.rated_kw)
            step = _STEPS - min(_STEPS, max(0, math.floor(part * _STEPS)))
            for node in (nodes[name] for name in decision.row.nodes if name in nodes):
                first = self._first(node)
                first = node.weight if first is None else first
                wanted = first + step * _STEP
                if wanted != node.weight:
                    changed = True
                    self._set_weight(node, first, wanted)
        return changed

    def reset(self, nodes: Iterable[SlurmNode]) -> None:
        """Give all nodes their first weights, and remove the marks. Raises SlurmError."""
        for node in nodes:
            first = self._first(node)
            if first is not None and first != node.weight:
                self._client.control("update", f"nodename={node.name}", f"weight={first}")
            if first_weight(node) is not None:
                rest = without_weight(node.comment)
                self._client.control("update", f"nodename={node.name}", f"comment={rest}")
            self._set.pop(node.name, None)

    def _first(self, node: SlurmNode) -> int | None:
        """Return the weight before our change; None: the weight is not ours."""
        marked, known = first_weight(node), self._set.get(node.name)
        if marked is not None:
            return marked if node.weight - marked in _POSSIBLE else None
        return known[0] if known is not None and node.weight == known[1] else None

    def _set_weight(self, node: SlurmNode, first: int, weight: int) -> None:
        if first_weight(node) != first:
            comment = f"{WEIGHT_MARK}{first} {without_weight(node.comment)}".strip()
            self._client.control("update", f"nodename={node.name}", f"comment={comment}")
        self._client.control("update", f"nodename={node.name}", f"weight={weight}")
        self._set[node.name] = (first, weight)
