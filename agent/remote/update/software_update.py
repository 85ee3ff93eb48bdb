# SPDX-License-Identifier: Apache-2.0
"""Application update: fetch the chunks over any number of contact windows, then start a trial.

Does not start applications; the runtime does.

    manifest (two signatures) ─▶ chunks on cfg/chunk, in order ─▶ restart ─▶ trial ─▶ confirmed
                                  each with its hash                            └─▶ rolled back

A chunk is COUNTER (4 bytes) INDEX (2 bytes) DATA. A chunk that is not the next one, or has another
hash, is discarded. The unit reports the number of its chunks, and the sender continues there. The
module is loaded with a manifest, or if the store has an update.
"""

from agent.remote.message.chunk import CHUNK_HASH_BYTES, chunk_hash
from agent.remote.message.counter import seconds_of
from agent.remote.message.reject import Rejection
from agent.remote.storage import software_slots
from agent.remote.storage.config_slots import MAX_ALARMS
from agent.remote.storage.running_slot import INSTALLED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.remote.message.manifest import Manifest
    from agent.remote.storage.write_queue import RemoteHost
    from agent.remote.update.trial import TrialMonitor

_HEAD_BYTES = 6
_GRACE_S = 30


def _count_hashes(release: "software_slots.Release | None") -> int:
    """Return the number of chunks of a release."""
    return 0 if release is None else len(release.chunk_hashes) // CHUNK_HASH_BYTES


def _known_hash(release: "software_slots.Release", index: int) -> bytes:
    """Return the hash of a chunk by the manifest."""
    at = index * CHUNK_HASH_BYTES
    return release.chunk_hashes[at : at + CHUNK_HASH_BYTES]


class SoftwareUpdate:
    """The updates of `manager`. `found_releases` and `received_chunks` come from the store."""

    def __init__(
        self,
        manager: "RemoteHost",
        found_releases: "software_slots.ReleaseRecord | None",
        received_chunks: int,
    ) -> None:
        self.releases = found_releases or software_slots.ReleaseRecord()
        self.received_chunks = received_chunks
        self.discarded_chunks = 0
        self.trial_monitor: TrialMonitor | None = None
        self._manager = manager
        self._writing = False
        running_slot = manager.boot.running_slot
        self._own_slot = INSTALLED if running_slot is None else running_slot.slot
        if self.releases.trial is None:
            self.releases.set_running_slot(self._own_slot)
        self._read_slot = None if running_slot is None else running_slot.read
        self._is_counting = self._read_slot is not None and self.releases.fetching is not None
        if self._read_slot is not None:
            self.received_chunks = _count_hashes(self.releases.trial)

    def start(self, now: int) -> None:
        """Monitor a trial, if this start runs it."""
        trial = self.releases.trial
        if trial is not None and self._own_slot not in (trial.slot, INSTALLED):
            reason = "crashed" if trial.starts >= software_slots.MAX_STARTS else "damaged"
            self._manager.audit_entry([], "rolled back", trial.counter, reason, now)
            self._manager.write_queue.write_records(
                self.releases.roll_back(reason, self._own_slot), now
            )
        elif trial is not None:
            from agent.remote.update.trial import TrialMonitor  # noqa: PLC0415 - see `agent.remote.module_unload`

            health_s = int(self._manager.settings["health_s"])
            self.trial_monitor = TrialMonitor(
                self._manager.agent,
                trial.confirm_s,
                trial.alarms,
                now,
                health_s,
                _GRACE_S,
                None,
                False,
            )
            self._manager.audit_entry(
                [], "start", trial.counter, "on trial: release %d" % trial.release, now
            )

    def is_on_trial(self) -> bool:
        """Return whether an application is on trial, or starts its trial next."""
        return self.releases.trial is not None

    def start_fetch(self, manifest: "Manifest", now: int) -> None:
        """Start to fetch the update of a verified manifest. Raises `Rejection`."""
        running_slot = self._manager.boot.running_slot
        if running_slot is None:
            raise Rejection("unsupported", "nothing here starts an update")
        if self.is_on_trial():
            raise Rejection("busy")
        highest = max(self.releases.highest, running_slot.release)
        if manifest.release <= highest:
            raise Rejection("rollback", "release %d after %d" % (manifest.release, highest))
        if manifest.size > running_slot.capacity:
            raise Rejection("out_of_range", "a slot holds %d bytes" % running_slot.capacity)
        new_release = software_slots.Release(
            [
                self.releases.free_slot(),
                manifest.release,
                manifest.size,
                manifest.hash,
                manifest.chunk_hashes,
                manifest.counter,
                manifest.confirm_s,
                [],
                manifest.chunk_size,
            ]
        )
        self.received_chunks = 0
        self._is_counting = False
        self._manager.write_queue.write_records(self.releases.start_fetch(new_release), now)

    def chunk_count(self) -> int:
        """Return the number of chunks of the fetch."""
        return _count_hashes(self.releases.fetching)

    def on_chunk(self, data: bytes, now: int) -> None:
        """Store a chunk if it is the next one."""
        fetching = self.releases.fetching
        index = int.from_bytes(data[4:_HEAD_BYTES], "big")
        expected = fetching is not None and index == self.received_chunks and not self._writing
        is_ready = expected and not (self._is_counting or self._manager.write_queue.is_busy())
        if fetching is None or not is_ready:
            self.discarded_chunks += 1
            return
        chunk = data[_HEAD_BYTES:]
        counter = int.from_bytes(data[:4], "big")
        is_known = chunk_hash(chunk) == _known_hash(fetching, index)
        if counter != seconds_of(fetching.counter) or not is_known:
            self.discarded_chunks += 1
            return
        self._writing = True
        writes = [(software_slots.chunk_key(fetching.slot, index * fetching.chunk_size), chunk)]
        if self._read_slot is None:
            writes.append((software_slots.CHUNKS_KEY, (index + 1).to_bytes(2, "big")))
        self._manager.write_queue.write_records(writes, now)
        self._manager.write_queue.after_durable(
            lambda then: self._on_chunk_stored(fetching, then), now
        )

    def _count_chunk(self) -> None:
        """Compare one chunk of the slot of a board with the manifest, after a restart.

        A record of each chunk would wear the flash, and each of them delayed a tick. The last good
        chunk is fetched again: the power can have failed while it was programmed.
        """
        fetching, index = self.releases.fetching, self.received_chunks
        if fetching is not None and self._read_slot is not None and index < self.chunk_count():
            at = index * fetching.chunk_size
            size = min(fetching.chunk_size, fetching.size - at)
            chunk = self._read_slot(fetching.slot, at, size)
            if chunk_hash(chunk) == _known_hash(fetching, index):
                self.received_chunks += 1
                return
        self._is_counting = False
        self.received_chunks = max(0, self.received_chunks - 1)
        self._manager.request_report()

    def _on_chunk_stored(self, fetching: "software_slots.Release", now: int) -> None:
        """Count a chunk. Another update can have been taken while it was stored."""
        self._writing = False
        if fetching is not self.releases.fetching:
            return
        self.received_chunks += 1
        self._manager.request_report()
        self._start_when_complete(now)

    def _start_when_complete(self, now: int) -> None:
        """Start the trial when all chunks are stored and no configuration is on trial."""
        fetched, manager = self.releases.fetching, self._manager
        is_complete = self.received_chunks == self.chunk_count()
        if fetched is None or not is_complete or self._writing:
            return
        if manager.boot.slots.trial is not None or manager.write_queue.is_busy():
            return
        alarms = manager.agent.alarms.codes()[:MAX_ALARMS]
        manager.audit_entry([], "update fetched", fetched.release, "to be started", now)
        manager.write_queue.write_records(self.releases.start_trial(alarms), now)
        manager.write_queue.after_durable(lambda _: manager.agent.restart(), now)

    def tick(self, now: int) -> None:
        """Start the trial of a complete update, and monitor it."""
        if self._is_counting:
            self._count_chunk()
            return
        self._start_when_complete(now)
        if self.trial_monitor is None:
            return
        phase = self.trial_monitor.phase
        reason = self.trial_monitor.guarded_step(now)
        if reason:
            self.roll_back(
                reason + (" " + self.trial_monitor.reason if self.trial_monitor.reason else ""), now
            )
        elif self.trial_monitor.phase != phase:
            self._manager.request_report()
        else:
            self._save_time_left(now)

    def _save_time_left(self, now: int) -> None:
        trial = self.releases.trial
        remaining_s = (
            None if self.trial_monitor is None else self.trial_monitor.confirm_time_to_save(now)
        )
        if (
            remaining_s is not None
            and trial is not None
            and not self._manager.write_queue.is_busy()
        ):
            writes = self.releases.save_confirm_time(remaining_s)
            self._manager.write_queue.write_records(writes, now)

    def confirm(self, counter: "Any", now: int) -> str:
        """Confirm the application on trial, which `counter` names. Raises `Rejection`."""
        trial = self.releases.trial
        if trial is None or self.trial_monitor is None:
            raise Rejection("no_trial")
        if counter != trial.counter:
            raise Rejection("no_trial", "on trial is %d" % trial.counter)
        from agent.remote.update.trial import CONFIRM  # noqa: PLC0415 - see `agent.remote.module_unload`

        if self.trial_monitor.phase != CONFIRM:
            raise Rejection("not_yet", "its health is still being watched")
        self._manager.audit_entry([], "confirmed", trial.counter, "release %d" % trial.release, now)
        self._manager.write_queue.write_records(self.releases.confirm(), now)
        self.trial_monitor = None
        return "release %d confirmed" % trial.release

    def roll_back(self, reason: str, now: int) -> None:
        """Return to the previous application by a restart."""
        trial = self.releases.trial
        counter = 0 if trial is None else trial.counter
        self._manager.audit_entry([], "rolled back", counter, reason, now)
        self._manager.write_queue.write_records(self.releases.roll_back(reason), now)
        self._manager.restart_when_stored(now)
        self.trial_monitor = None

    def status(self) -> "list[object]":
        """Return the state of the update.

        [running release, counter of the update, received chunks, all chunks, phase, last counter,
        outcome, reason, release of the update, start of its hash]
        """
        releases, running_slot = self.releases, self._manager.boot.running_slot
        current = releases.trial or releases.fetching
        phase = "fetching" if releases.fetching is not None else ""
        if self.trial_monitor is not None:
            phase = self.trial_monitor.phase
        running = 0 if running_slot is None else running_slot.release
        if not running and releases.running is not None:
            running = releases.running.release
        counter, number, digest = 0, 0, ""
        if current is not None:
            counter, number, digest = current.counter, current.release, current.hash.hex()[:16]
        head = [running, counter, self.received_chunks, self.chunk_count(), phase]
        return head + list(releases.last) + [number, digest]
