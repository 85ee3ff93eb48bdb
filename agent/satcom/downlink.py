"""Messages from the ground, handed on only after it is durable that their number was used.

Not the proof of a message (`protocols.datagram`, agent.satcom.transfer). A message that is played
to the unit again must do nothing, after a restart too: the highest number that came is written to
the store first, then the message is handed to the parts that take one (`message(data, now)`). A
power cut in between loses the message, and never lets it come twice.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.agent import Agent
    from agent.satcom.persistence import Memory
    from agent.satcom.transfer import Messages

_MOST = 4


class Downward:
    """Holds messages until `memory` has their number; without a memory none is held back."""

    def __init__(self, agent: "Agent", messages: "Messages") -> None:
        self.memory: Memory | None = None
        self.dropped = 0
        self._agent = agent
        self._messages = messages
        self._held: list[tuple[int, bytes]] = []

    def take(self, content: bytes) -> None:
        """Take a message whose number was not heard before."""
        self._held.append((self._messages.newest, content))
        if self.memory is not None:
            self.memory.hear(self._messages.newest)
        if len(self._held) > _MOST:
            self._held.pop(0)
            self.dropped += 1

    def step(self, now: int) -> None:
        """Refuse what came before the start; hand on what is safe now."""
        if self.memory is not None and self.memory.loaded:
            self._messages.floor = max(self._messages.floor, self.memory.first_heard)
        while self._held and self._safe(self._held[0][0]):
            content = self._held.pop(0)[1]
            for part in self._agent.parts:
                take = getattr(part, "message", None)
                if take is not None:
                    take(content, now)

    def _safe(self, number: int) -> bool:
        return self.memory is None or self.memory.heard >= number
