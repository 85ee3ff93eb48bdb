# SPDX-License-Identifier: Apache-2.0
"""`coldloop nmea decode --json` of a file, without a parser of arguments, `json` and ports.

These take most of the time of a small file. `run_plain` takes the usual command line; any other one
goes the general way, which calls `print_capture`, too.
"""

import gc
import os
import stat
import sys

from drivers.tools.capture.json_line import count_totals, write_epoch, write_summary
from drivers.tools.capture.reader import CaptureReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.gnss.epoch import Epoch

_CHUNK = 65_536
_PIPE_CHUNK = 4096
PROG = "coldloop nmea decode"


def run_plain(words: "list[str]") -> "int | None":
    """Run the command if `words` are `--json` and a regular file, also one as standard input.

    Return its exit code; None if the words are others.
    """
    sources = [word for word in words if word != "--json"]
    if len(sources) == len(words) or len(sources) > 1:
        return None
    text = sources[0] if sources else "-"
    if (text[:1] == "-" and text != "-") or ":" in text:
        return None
    try:
        status = os.fstat(0) if text == "-" else os.stat(text)
    except (OSError, ValueError):
        return None
    return print_capture(text, None) if stat.S_ISREG(status.st_mode) else None


def print_capture(text: str, vendor: "str | None") -> int:
    """Print the epochs and the summary of a file, or of standard input (`-`).

    Return 1 without a sentence, 2 if the file cannot be read. SIGINT ends the file early.
    """
    reader = CaptureReader(vendor)
    # nothing here makes cycles; the search for them takes a tenth of the time
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        count = _print_epochs(reader, text)
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stderr.write(f"{PROG}: {text}: {error.strerror}\n")
        return 2
    finally:
        if was_enabled:
            gc.enable()
    totals = count_totals(reader.framer, reader.decoder, count)
    sys.stdout.write(write_summary(totals))
    if not totals["sentences"]:
        sys.stderr.write(f"{PROG}: {text}: no sentence with a checksum\n")
        return 1
    return 0


def _print_epochs(reader: CaptureReader, text: str) -> int:
    """Print all epochs; return their number."""
    count = 0
    try:
        source = 0 if text == "-" else text
        with open(source, "rb", buffering=0, closefd=source != 0) as file:
            is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            while data := file.read(_CHUNK if is_file else _PIPE_CHUNK):
                count += _print_lines(reader, reader.read(data))
    except KeyboardInterrupt:
        pass
    return count + _print_lines(reader, reader.finish())


def _print_lines(reader: CaptureReader, epochs: "list[Epoch]") -> int:
    view = reader.decoder.decode_satellites
    sys.stdout.write("".join([write_epoch(epoch, view(epoch)) for epoch in epochs]))
    return len(epochs)
