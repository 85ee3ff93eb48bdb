# SPDX-License-Identifier: Apache-2.0
"""Feeds the trends: first from the agent's log, then from each new record.

Does not keep the values; see `deploy.northbound.panel.trends`. Each block of the log is decoded in
a thread, with a pause after it, so the server answers meanwhile. A log that this process may not
read costs only the time before its start.
"""

import asyncio
from collections.abc import Iterator

from deploy.northbound.panel.log_history import Sample, log_columns, log_folder, read_samples
from deploy.northbound.panel.services import PanelServices
from deploy.northbound.process.supervisor import start_once

_PERIOD_S = 1.0
_PAUSE_S = 0.02


async def feed_trends(services: PanelServices) -> None:
    """Feed the trends of `services` until the task is cancelled."""
    filling = start_once("trends of the panel", _fill_from_log(services))
    try:
        while True:
            services.trends.add_snapshot(services.source.read())
            await asyncio.sleep(_PERIOD_S)
    finally:
        filling.cancel()


async def _fill_from_log(services: PanelServices) -> None:
    folder, columns = log_folder(services.config), log_columns(services.config)
    if folder is None or not columns:
        return
    blocks = read_samples(folder, columns)
    while (samples := await asyncio.to_thread(_next_block, blocks)) is not None:
        for at_s, values in samples:
            services.trends.add_logged(at_s, values)
        await asyncio.sleep(_PAUSE_S)


def _next_block(blocks: Iterator[list[Sample]]) -> list[Sample] | None:
    return next(blocks, None)
