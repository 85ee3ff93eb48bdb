"""One load as the throttle sees it: what it may draw, what it was told, how it is told.

Not the decision how much (that is `agent.power.component`). A load is limited through a Redfish
target, switched through that target's system or through outlets of a power strip on a field bus;
it may have neither, and is then only counted with its rated power.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.context import SessionView
    from agent.power.load_class import LoadClass
    from drivers.redfish import RedfishClient, RedfishTarget

    Outlet = tuple[SessionView, int]

ON, OFF = 1, 0


class Load:
    """See above. `limit_w` is what it was told; `on` whether it is meant to run.

    `service`, `index`: the Redfish service and the number of the target there, or None.
    """

    def __init__(
        self, name: str, load_class: "LoadClass", priority: int, min_w: int, max_w: int
    ) -> None:
        self.name = name
        self.load_class = load_class
        self.priority = priority
        self.min_w = min_w
        self.max_w = max_w
        self.limit_w = max_w
        self.on = True
        self.limit_known = False
        self.lowered_at = -(1 << 60)
        self.raised_at = -(1 << 60)
        self.shed_at = 0
        self.service: RedfishClient | None = None
        self.index = 0
        self.outlets: list[Outlet] = []

    @property
    def target(self) -> "RedfishTarget | None":
        """The Redfish target, if there is one."""
        return None if self.service is None else self.service.targets[self.index]

    @property
    def can_limit(self) -> bool:
        """Whether its power can be limited."""
        return self.service is not None

    @property
    def can_switch(self) -> bool:
        """Whether it can be turned off."""
        target = self.target
        return bool(self.outlets) or (target is not None and target.system != "")

    @property
    def power_w(self) -> int:
        """What it draws: as read, else at most its limit."""
        target = self.target
        if target is not None and target.power_w is not None:
            return target.power_w
        return self.limit_w if self.on else 0

    def min_permille(self) -> int:
        """The share of the rating that it draws at least while it is on."""
        return 1000 * self.min_w // self.max_w if self.can_limit else 1000

    def adopt_limit(self, now: int) -> None:
        """Take over the limit that is there already when it is first read: a restart moves nothing.

        It counts as just lowered, so that it is not raised before the hold is over.
        """
        target = self.target
        if self.limit_known or target is None or not target.read_at:
            return
        self.limit_known = True
        if (
            target.requested_w is None
            and target.reported_w is not None
            and target.reported_w < self.max_w
        ):
            self.limit_w = max(self.min_w, target.reported_w)
            self.lowered_at = now

    def send_limit(self, now: int) -> None:
        """Pass the limit on."""
        if self.service is not None:
            self.service.set_limit(self.index, self.limit_w, now)

    def switch(self, on: bool, now: int) -> None:
        """Turn it off or on, by the outlets if it has some."""
        self.on = on
        self.shed_at = now
        if not self.outlets and self.service is not None:
            self.service.set_power(self.index, on, now)
