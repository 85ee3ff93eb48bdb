# SPDX-License-Identifier: Apache-2.0
"""The journal of a commissioning: results of its steps, so that it can be continued later.

Does not run steps; see `hil.tools.commission.steps`. The file is `commission.json` in the folder of
the site. Each write replaces it as a whole. `lock_folder` keeps a second program away from the
folder and its outputs.

The arguments of all calls are in it too, before the first step: a step that is not finished, failed
or is repeated gets them again.

Each result has a seal: a signature of the key of the bench. An edited result is refused.

The old words of an output stay in the journal from before its first write until they were read
back as equal (`hil.tools.commission.outputs.pending`).
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.config.tested_devices import JOURNAL
from hil.errors import BenchError
from hil.io.regular_file import write_whole
from hil.tools.commission.outputs.pending import PendingOutputs
from hil.tools.commission.outputs.pending_index import check_note, store_note

FORMAT = "coldloop-commission-1"
_PENDING, _CALLS, _SEAL = "pending-write", "arguments", "seal"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Make the folder of a site and lock it. Raises BenchError if another program has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise BenchError(f"{folder}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BenchError(
            f"{folder}: another `coldloop commission` works with this folder; wait for its end"
        ) from None
    finally:
        os.close(descriptor)


class Journal:
    """The journal in `folder`. `pending`: the outputs.

    Raises BenchError for a damaged file, and if its note has outputs that it does not have.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self._steps: dict[str, Any] = {}
        self._calls: dict[str, Any] = {}
        self._sign: Callable[[str], str] | None = None
        self._set_pending([])
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            check_note(self.path, [])
            return
        except (OSError, UnicodeDecodeError) as error:
            raise BenchError(f"{self.path}: cannot be read: {error}") from None
        try:
            record = json.loads(text)
            if record["format"] != FORMAT:
                raise ValueError
            self._steps = dict(record["steps"])
            self._calls = dict(record.get(_CALLS, {}))
            pending = record.get(_PENDING, [])
            entries = [pending] if isinstance(pending, dict) else list(pending)
            for step in self._steps.values():
                _ = (step["utc"], step["result"], dict(step.get("arguments", {})))
                _check_basis(step.get("basis"))
            self._set_pending(entries)
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            raise BenchError(
                f"{self.path}: not a journal of a commissioning; move it away to start again"
            ) from None
        check_note(self.path, self.pending.entries)

    def _set_pending(self, entries: list[dict[str, Any]]) -> None:
        self.pending = PendingOutputs(entries, self._write)
        self.pending.path = self.path
        self.pending.remedy = f"delete `{_PENDING}` in {self.path}"

    def get(self, step: str) -> Any:
        """Return the result of a step; None if it is not done."""
        entry = self._steps.get(step)
        return None if entry is None else entry["result"]

    def steps(self) -> list[str]:
        """Return the names of the steps that are done, in their order."""
        return list(self._steps)

    def done_at(self, step: str) -> str:
        """Return the UTC of a step that is done."""
        return str(self._steps[step]["utc"])

    def arguments(self, step: str) -> dict[str, Any]:
        """Return the arguments with which a step was done; empty if it is not done."""
        return dict(self._steps.get(step, {}).get("arguments", {}))

    def basis(self, step: str) -> dict[str, dict[str, str]] | None:
        """Return the hashes of the files from which a step was taken; None: it has none."""
        found: dict[str, dict[str, str]] | None = self._steps.get(step, {}).get("basis")
        return found

    def call_arguments(self) -> dict[str, Any]:
        """Return the arguments of all calls, also those of steps that are not done."""
        found: dict[str, Any] = {}
        for step in self._steps:
            found.update(self.arguments(step))
        return {**found, **self._calls}

    def put_call(self, arguments: dict[str, Any]) -> None:
        """Store the arguments of a call. Raises BenchError if the disk takes no file."""
        self._calls.update(arguments)
        self._write()

    def put(
        self,
        step: str,
        result: Any,
        arguments: dict[str, Any] | None = None,
        basis: dict[str, dict[str, str]] | None = None,
    ) -> None:
        """Store the result of a step. Raises BenchError if the disk takes no file.

        `basis`: see `hil.tools.commission.inputs.step_basis`.
        """
        utc = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._steps[step] = {"utc": utc, "arguments": arguments or {}, "result": result}
        if basis is not None:
            self._steps[step]["basis"] = basis
        if self._sign is not None:
            self._steps[step][_SEAL] = self._sign(self._sealed_text(step))
        self._write()

    def seal_with(self, sign: Callable[[str], str]) -> None:
        """Seal the results of the steps from now on."""
        self._sign = sign

    def check_seals(self, is_valid: Callable[[str, str], bool]) -> None:
        """Raise BenchError for a result without a seal, or with one that is not valid.

        `is_valid` gets the seal and the text. So an edited result is never signed in a report.
        """
        for step, entry in self._steps.items():
            if not is_valid(str(entry.get(_SEAL, "")), self._sealed_text(step)):
                raise BenchError(
                    f"{self.path}: the result of step `{step}` was not written by this bench, or "
                    f"was changed; repeat it with `--from {step}`"
                )

    def _sealed_text(self, step: str) -> str:
        entry = {key: value for key, value in self._steps[step].items() if key != _SEAL}
        return json.dumps([FORMAT, step, entry], sort_keys=True)

    def forget(self, steps: list[str]) -> None:
        """Remove the results of some steps."""
        for step in steps:
            self._steps.pop(step, None)
        self._write()

    def _write(self) -> None:
        content: dict[str, Any] = {"format": FORMAT, "steps": self._steps}
        if self._calls:
            content[_CALLS] = self._calls
        if self.pending.entries:
            content[_PENDING] = self.pending.entries
        if not self.pending.entries:
            store_note(self.path, [])
        write_whole(self.path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
        store_note(self.path, self.pending.entries)  # a note without its entries is a refusal


def _check_basis(basis: Any) -> None:
    """Raise ValueError or TypeError for hashes of another form."""
    if basis is None:
        return
    texts = [
        text for key in ("devices", "sections") for item in basis[key].items() for text in item
    ]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError
