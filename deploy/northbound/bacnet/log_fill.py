# SPDX-License-Identifier: Apache-2.0
"""Fills the trend logs from the agent's log: the time before the start of this process.

The first value of each minute is kept, so the memory does not grow with the rate of the log. After
each block of the log the server answers requests again. Does not decode; see
`deploy.northbound.panel.log_history`.
"""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.northbound.bacnet.trend_log import INTERVAL_S, TrendLogs
from deploy.northbound.panel.log_history import Sample, log_columns, log_folder, read_samples

_PAUSE_S = 0.02


class MinuteSamples:
    """The first value of each point in each minute."""

    def __init__(self) -> None:
        self._minutes: dict[int, dict[str, tuple[float, float | None]]] = {}

    def add(self, samples: list[Sample]) -> None:
        """Add samples in any order."""
        for at, values in samples:
            minute = self._minutes.setdefault(int(at // INTERVAL_S), {})
            for key, value in values.items():
                if key not in minute or at < minute[key][0]:
                    minute[key] = (at, value)

    def samples(self) -> Iterator[tuple[float, dict[str, float | None]]]:
        """Return them as samples of one point each."""
        for minute in self._minutes.values():
            for key, (at, value) in minute.items():
                yield at, {key: value}


async def fill_from_log(trends: TrendLogs, config: Mapping[str, Any]) -> None:
    """Read the log that the configuration names; without one the logs begin now."""
    folder: Path | None = log_folder(config)
    if folder is None:
        return
    found = MinuteSamples()
    for samples in read_samples(folder, log_columns(config)):
        found.add(samples)
        await asyncio.sleep(_PAUSE_S)
    trends.fill(found.samples())
