"""What `coldloop status` and `coldloop link watch` show of the carrier."""

from agent.core.json_writer import Object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.satcom.component import Carrier


def report(carrier: "Carrier", now: int) -> Object:
    """Write the state of `carrier`. Times of windows ahead are UTC seconds."""
    modem, messages, budget = carrier.modem, carrier.messages, carrier.budget
    return Object(
        [
            ("kind", carrier.kind),
            ("ready", modem.ready),
            ("forbidden", carrier.forbidden),
            ("bars", carrier.bars),
            ("service", carrier.service),
            ("predicted", carrier.predicted(now)),
            ("queued", carrier.queue.waiting()),
            ("dropped", carrier.queue.dropped),
            ("unacknowledged", len(messages.waiting)),
            ("tried", carrier.tried),
            ("sent", carrier.sent),
            ("failed", carrier.failed),
            ("why", carrier.why),
            ("fetched", carrier.fetched),
            ("acknowledged", messages.acknowledged),
            ("repeated", messages.repeated),
            ("forged", messages.forged),
            ("replayed", messages.replayed),
            ("resets", modem.resets),
            ("faults", modem.faults),
            ("alarm_us", carrier.alarm_us),
            ("worst_alarm_us", carrier.worst_alarm_us),
            ("day_bytes", budget.limit),
            ("spent_bytes", budget.spent),
            ("window_spent_bytes", budget.window_spent),
            ("windows", carrier.windows.count),
            ("useful_windows", carrier.windows.useful),
            ("last", [window.show() for window in carrier.windows.last]),
            ("ahead", _ahead(carrier)),
        ]
    )


def _ahead(carrier: "Carrier") -> "list[object]":
    if carrier.passes is None:
        return []
    return [
        [start // 1_000_000, end // 1_000_000, peak] for start, end, peak in carrier.passes.ahead
    ]
