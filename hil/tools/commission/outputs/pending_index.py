# SPDX-License-Identifier: Apache-2.0
"""The journals of this user that have pending outputs, wherever their folders are.

Does not read the journals; see `hil.tools.commission.outputs.site_journals`. A test that was killed
leaves its journal in its folder. A second folder with a copy of the configuration would take the
moved outputs for those of before. So each journal with entries has a small file here, beside the
key of the bench: it has the path of the journal. It is gone with the last entry. A folder that
cannot be written has no index; the journal itself is not affected.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

from hil.errors import BenchError
from hil.io.regular_file import SMALL_BYTES, read_regular, write_whole
from hil.record.bench_key import default_path


def note(journal: Path, *, is_pending: bool) -> None:
    """Store or remove the path of a journal."""
    entry = _folder() / hashlib.sha256(bytes(journal.resolve())).hexdigest()[:32]
    with suppress(OSError, BenchError):
        if not is_pending:
            entry.unlink(missing_ok=True)
        elif not entry.exists():
            entry.parent.mkdir(parents=True, exist_ok=True)
            write_whole(entry, bytes(journal.resolve()))


def journals() -> list[Path]:
    """Return the paths of the journals that had pending outputs when they were written last."""
    found = []
    with suppress(OSError):
        for entry in sorted(_folder().iterdir()):
            with suppress(BenchError):
                found.append(
                    Path(read_regular(entry, SMALL_BYTES).decode(errors="surrogateescape"))
                )
    return found


def _folder() -> Path:
    return default_path().parent / "pending-outputs"
