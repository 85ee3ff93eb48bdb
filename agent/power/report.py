"""What the throttle says of itself: its state and alarms, points of the telemetry, the status."""

from agent.core.json_writer import Object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.power.component import Throttle
    from agent.power.load import Load

FREE, DERATED, LIMITED, LOST, SHED = 0, 1, 2, 3, 4
STATES = ("free", "derated", "limited", "lost", "shed")

POINTS = [
    ("throttle.State", "1", 1, 1),
    ("throttle.BudgetWatts", "W", 1, 1),
    ("throttle.LimitWatts", "W", 1, 1),
    ("throttle.LoadWatts", "W", 1, 1),
    ("throttle.HeatWatts", "W", 1, 1),
    ("throttle.HeadroomWatts", "W", 1, 1),
    ("throttle.LoadMeanWatts", "W", 1, 1),
    ("throttle.LoadPeakWatts", "W", 1, 1),
]


def state(part: "Throttle", now: int) -> int:
    """Name the state and set the alarms that go with it."""
    told = sum([load.limit_w for load in part.loads])
    rated = sum([load.max_w for load in part.loads])
    head, alarms = part.headroom, part.agent.alarms
    if False in [load.on for load in part.loads]:
        found = SHED
    elif head.lost:
        found = LOST
    elif part.budget_w < part.claimed_w:
        found = LIMITED
    else:
        found = DERATED if told < rated else FREE
    alarms.set("heat_lost", head.lost, "heat is not rejected: " + head.why, now)
    text = "loads are limited to %d of %d W" % (told, rated)
    alarms.set("throttled", found != FREE, text, now)
    for load in part.loads:
        target = load.target
        if target is not None:
            wrong = target.stubborn or target.refused != 0
            alarms.set("limit_refused:" + load.name, wrong, "does not take its limit", now)
    return found


def values(part: "Throttle", now: int) -> "list[int | None]":
    """Give the values of POINTS."""
    head = part.headroom
    spare = None
    if head.limit_w is not None and head.heat_w is not None:
        spare = min(head.limit_w - head.heat_w, sum([load.max_w for load in part.loads]))
    return [
        part.state,
        part.budget_w,
        sum([load.limit_w if load.on else 0 for load in part.loads]),
        part.sight.load_w(now),
        head.heat_w,
        spare,
        part.profile.mean_w,
        part.profile.peak_w,
    ]


def status(part: "Throttle", now: int) -> Object:
    """Show what limits the loads and what each was told."""
    shown = values(part, now)
    return Object(
        [
            ("state", STATES[part.state]),
            ("budget_w", part.budget_w),
            ("limit_w", shown[2]),
            ("load_w", shown[3]),
            ("heat_w", shown[4]),
            ("headroom_w", shown[5]),
            ("cap_w", part.cap_w),
            ("cap_pct", part.cap_pct),
            ("droop_permille", part.droop_permille),
            ("profile", [part.profile.began_us, shown[6], shown[7]]),
            ("waiting", [list(entry) for entry in part.plan.entries]),
            ("done", [list(entry) for entry in part.executed]),
            ("services", [service.trouble for service in part.services]),
            ("loads", [_load(load) for load in part.loads]),
        ]
    )


def _load(load: "Load") -> Object:
    target = load.target
    return Object(
        [
            ("name", load.name),
            ("on", load.on),
            ("limit_w", load.limit_w),
            ("shown_w", None if target is None else target.shown),
            ("watts", None if target is None else target.watts),
            ("refused", 0 if target is None else target.refused),
        ]
    )
