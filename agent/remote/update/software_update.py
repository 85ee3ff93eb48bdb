"""An application update on its way into its slot, piece by piece, across as many windows as needed.

    manifest (signed twice) ─▶ pieces on cfg/chunk, in order ─▶ restart ─▶ trial ─▶ confirmed
                                  each known by its hash                      └─▶ rolled back

A piece is COUNTER (4 bytes) INDEX (2 bytes) DATA. What is not the next piece, or has another hash,
is not kept; the unit reports how many it has, and whoever sends goes on from there. Loaded when a
manifest comes, or when the store says that there was one.
"""

from agent.remote.message.reject import Refusal
from agent.remote.storage import software_slots
from agent.remote.storage.boot_state import INSTALLED
from agent.remote.storage.config_slots import MOST_ALARMS
from agent.remote.update.trial import CONFIRM, TrialWatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.remote.manager import Desk
    from agent.remote.message.manifest import Manifest

_HEAD = 6
_PIECE_HASH = 16
_GRACE_S = 30


class Update:
    """The updates of `desk`; `found`: what an earlier life left, `have`: how far it came."""

    def __init__(self, desk: "Desk", found: "software_slots.Releases | None", have: int) -> None:
        self.releases = found or software_slots.Releases()
        self.have = have
        self.unkept = 0
        self.watch: TrialWatch | None = None
        self._desk = desk
        self._busy = False
        place = desk.boot.place
        self._here = INSTALLED if place is None else place.slot
        if self.releases.trial is None:
            self.releases.stand(self._here)

    def start(self, now: int) -> None:
        """Watch what is on trial, if this start runs it."""
        trial = self.releases.trial
        if trial is not None and self._here not in (trial.slot, INSTALLED):
            word = "crashed" if trial.starts >= software_slots.MOST_STARTS else "damaged"
            self._desk.note([], "rolled back", trial.counter, word, now)
            self._desk.keeper.store(self.releases.roll_back(word, self._here), now)
        elif trial is not None:
            health_s = int(self._desk.settings["health_s"])
            self.watch = TrialWatch(
                self._desk.agent, trial.confirm_s, trial.alarms, now, health_s, _GRACE_S
            )
            self._desk.note([], "start", trial.counter, "on trial: release %d" % trial.release, now)

    def take(self, manifest: "Manifest", now: int) -> None:
        """Begin to fetch what a manifest that has passed the gate names. Raises `Refusal`."""
        place = self._desk.boot.place
        if place is None:
            raise Refusal("unsupported", "nothing here starts an update")
        if self.releases.trial is not None:
            raise Refusal("busy")
        highest = max(self.releases.highest, place.release)
        if manifest.release <= highest:
            raise Refusal("rollback", "release %d after %d" % (manifest.release, highest))
        if manifest.size > place.room:
            raise Refusal("out_of_range", "a slot holds %d bytes" % place.room)
        fetched = software_slots.Release(
            [
                self.releases.free(),
                manifest.release,
                manifest.size,
                manifest.hash,
                manifest.pieces,
                manifest.counter,
                manifest.confirm_s,
                [],
                manifest.piece,
            ]
        )
        self.have = 0
        self._desk.keeper.store(self.releases.fetch(fetched), now)

    def count(self) -> int:
        """Give the number of pieces of what is being fetched."""
        fetching = self.releases.fetching
        return 0 if fetching is None else len(fetching.pieces) // _PIECE_HASH

    def piece(self, data: bytes, now: int) -> None:
        """Keep a piece if it is the next one."""
        from agent.remote.message.manifest import piece_hash  # noqa: PLC0415 - see `agent.remote.module_unload`

        fetching = self.releases.fetching
        index = int.from_bytes(data[4:_HEAD], "big")
        wanted = fetching is not None and index == self.have and not self._busy
        if fetching is None or not wanted or self._desk.keeper.busy():
            self.unkept += 1
            return
        body = data[_HEAD:]
        known = fetching.pieces[index * _PIECE_HASH : (index + 1) * _PIECE_HASH]
        counter = int.from_bytes(data[:4], "big")
        if counter != fetching.counter or piece_hash(body) != known:
            self.unkept += 1
            return
        self._busy = True
        writes = [
            (software_slots.key_of(fetching.slot, index * fetching.piece), body),
            (software_slots.HAVE, (index + 1).to_bytes(2, "big")),
        ]
        self._desk.keeper.store(writes, now)
        self._desk.keeper.then(self._kept, now)

    def _kept(self, now: int) -> None:
        self._busy = False
        self.have += 1
        self._desk.news()
        if self.have == self.count():
            fetched = self.releases.fetching
            alarms = self._desk.agent.alarms.codes()[:MOST_ALARMS]
            number = 0 if fetched is None else fetched.release
            self._desk.note([], "update fetched", number, "to be started", now)
            self._desk.keeper.store(self.releases.begin(alarms), now)
            self._desk.keeper.then(lambda _: self._desk.agent.restart(), now)

    def tick(self, now: int) -> None:
        """Look after a trial."""
        if self.watch is None:
            return
        phase = self.watch.phase
        word = self.watch.step(now)
        if word:
            self.roll_back(word + (" " + self.watch.why if self.watch.why else ""), now)
        elif self.watch.phase != phase:
            self._desk.news()
        else:
            self._keep_time(now)

    def _keep_time(self, now: int) -> None:
        trial = self.releases.trial
        left = None if self.watch is None else self.watch.left_to_keep(now)
        if left is not None and trial is not None and not self._desk.keeper.busy():
            trial.confirm_s = left
            self._desk.keeper.store([self.releases.record()], now)

    def confirm(self, now: int) -> str:
        """Keep what is on trial. Raises `Refusal`."""
        trial = self.releases.trial
        if trial is None or self.watch is None:
            raise Refusal("no_trial")
        if self.watch.phase != CONFIRM:
            raise Refusal("not_yet", "its health is still being watched")
        self._desk.note([], "confirmed", trial.counter, "release %d" % trial.release, now)
        self._desk.keeper.store(self.releases.confirm(), now)
        self.watch = None
        return "release %d confirmed" % trial.release

    def roll_back(self, reason: str, now: int) -> None:
        """Go back to what ran before, by a start."""
        trial = self.releases.trial
        counter = 0 if trial is None else trial.counter
        self._desk.note([], "rolled back", counter, reason, now)
        self._desk.keeper.store(self.releases.roll_back(reason), now)
        self._desk.keeper.then(lambda _: self._desk.agent.restart(), now)
        self.watch = None

    def status(self) -> "list[object]":
        """Show how it stands.

        [release that runs, counter of what is fetched or tried, pieces had, of, phase,
        last counter, outcome, reason, release of what is fetched or tried, its hash's beginning]
        """
        found, place = self.releases, self._desk.boot.place
        on = found.trial or found.fetching
        phase = "fetching" if found.fetching is not None else ""
        if self.watch is not None:
            phase = self.watch.phase
        running = 0 if place is None else place.release
        if not running and found.running is not None:
            running = found.running.release
        counter, number, digest = 0, 0, ""
        if on is not None:
            counter, number, digest = on.counter, on.release, on.hash.hex()[:16]
        now = [running, counter, self.have, self.count(), phase]
        return now + list(found.last) + [number, digest]
