# SPDX-License-Identifier: Apache-2.0
"""One session of mutmut in a copy of the repository; `benchmarks.mutation.run` starts it there.

Not for manual use: it changes files of the working directory. mutmut reads `setup.cfg` when it is
imported. The session makes all mutants, draws a sample, and lets mutmut run it. mutmut selects the
tests of each function and runs the fastest first. The result is a JSON file with all mutants.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

from mutmut.__main__ import cli, create_mutants
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import (
    copy_also_copy_files,
    copy_src_dir,
    walk_mutatable_files,
)
from mutmut.utils.format_utils import orig_function_and_class_names_from_key


def all_mutants() -> dict[str, Path]:
    """Make all mutants; return the name and the file of each. `run` then finds them."""
    Path("mutants").mkdir()
    copy_src_dir()
    copy_also_copy_files()
    create_mutants(1)
    found = {}
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        found.update(dict.fromkeys(data.exit_code_by_key, path))
    return found


def describe(name: str, path: Path) -> dict[str, Any]:
    """Return the change and the result of a mutant."""
    data = SourceFileMutationData(path=path)
    data.load()
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]
    function, owner = orig_function_and_class_names_from_key(name)
    return {
        "mutant": name,
        "function": f"{path}:{owner}.{function}" if owner else f"{path}:{function}",
        "before": "\n".join(line[1:].strip() for line in lines if line.startswith("-")),
        "after": "\n".join(line[1:].strip() for line in lines if line.startswith("+")),
        "status": status_by_exit_code[data.exit_code_by_key[name]],
        "seconds": data.durations_by_key.get(name, 0.0),
    }


def main() -> None:
    """Run some mutants of a room (count 0: all) whose names contain `only`; write the result."""
    room, count, seed, only, jobs, output = sys.argv[1:]
    found = all_mutants()
    names = sorted(name for name in found if only in name)
    if 0 < int(count) < len(names):
        names = sorted(random.Random(f"{room} {seed}").sample(names, int(count)))
    cli(["run", "--max-children", jobs, *names], standalone_mode=False)
    record = {"all": len(found), "mutants": [describe(name, found[name]) for name in names]}
    Path(output).write_text(json.dumps(record), encoding="utf-8")


if __name__ == "__main__":
    main()
