# SPDX-License-Identifier: Apache-2.0
"""Status of the satellite link for `coldloop status` and `coldloop link watch`."""

from agent.core.json_writer import JsonObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.satcom.budget import Budget
    from agent.satcom.pass_predictor import ContactPredictor
    from agent.satcom.ram_queue import RamQueue
    from agent.satcom.transfer import MessageTransfer
    from agent.satcom.window_statistics import WindowStatistics
    from drivers.modems.base import ModemDriver
    from drivers.modems.regions.permit import Permit

    class SatcomState(Protocol):
        """The source of a report; see `agent.satcom.component`."""

        kind: str
        modem: ModemDriver
        permit: Permit
        queue: RamQueue
        budget: Budget
        messages: MessageTransfer
        window_stats: WindowStatistics
        predictor: "ContactPredictor | None"
        bars: "int | None"
        service: "bool | None"
        tried: int
        sent: int
        failed: int
        fetched: int
        failure_reason: str
        alarm_latency_us: "int | None"
        max_alarm_latency_us: int

        def window_predicted(self, now: int) -> "bool | None":
            """Return whether a window is predicted now."""
            ...


def build_report(component: "SatcomState", now: int) -> JsonObject:
    """Return the state of `component`. Times of future windows are UTC in s."""
    modem, messages, budget = component.modem, component.messages, component.budget
    return JsonObject(
        [
            ("kind", component.kind),
            ("ready", modem.ready),
            ("rule", component.permit.name),
            ("forbidden", component.permit.reason),
            ("bars", component.bars),
            ("service", component.service),
            ("predicted", component.window_predicted(now)),
            ("queued", component.queue.waiting_counts()),
            ("dropped", component.queue.dropped),
            ("unacknowledged", len(messages.unacknowledged)),
            ("tried", component.tried),
            ("sent", component.sent),
            ("failed", component.failed),
            ("why", component.failure_reason),
            ("fetched", component.fetched),
            ("acknowledged", messages.acknowledged),
            ("repeated", messages.repeated),
            ("forged", messages.forged),
            ("replayed", messages.replayed),
            ("resets", modem.resets),
            ("faults", modem.faults),
            ("alarm_us", component.alarm_latency_us),
            ("worst_alarm_us", component.max_alarm_latency_us),
            ("day_bytes", budget.limit),
            ("spent_bytes", budget.spent),
            ("window_spent_bytes", budget.window_spent),
            ("windows", component.window_stats.count),
            ("useful_windows", component.window_stats.success_windows),
            ("last", [window.to_json() for window in component.window_stats.recent]),
            ("ahead", _window_list(component)),
        ]
    )


def _window_list(component: "SatcomState") -> "list[object]":
    if component.predictor is None:
        return []
    return [
        [start // 1_000_000, end // 1_000_000, peak]
        for start, end, peak in component.predictor.windows
    ]
