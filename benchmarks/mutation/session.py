# SPDX-License-Identifier: Apache-2.0
"""One session in a copy of the repository; `benchmarks.mutation.run` starts it there.

Not for manual use: it changes files of the working directory. mutmut reads `setup.cfg` when it is
imported. mutmut makes all mutants, and the session draws a sample. `benchmarks.mutation.
forked_tests` runs the tests. The result is a JSON file with all mutants of the sample.
"""

import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from mutmut.__main__ import create_mutants
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.utils.file_utils import (
    copy_also_copy_files,
    copy_src_dir,
    walk_mutatable_files,
)
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

from benchmarks.mutation.forked_tests import ForkedTests, Mutant
from benchmarks.mutation.subjects import subjects

_ARGUMENTS = ("--rootdir=.", "-q", "--tb=native", "-p", "no:cacheprovider")
_SELECTED = ("-k", "not unix and not mps2")
"""Tests run on CPython only. A cache and long tracebacks of pytest would only cost time."""


def all_mutants() -> dict[str, Path]:
    """Make all mutants; return the name and the file of each."""
    Path("mutants").mkdir()
    copy_src_dir()
    copy_also_copy_files()
    create_mutants(1)
    files = {}
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        files.update(dict.fromkeys(data.exit_code_by_key, path))
    return files


def describe(name: str, path: Path, tested: ForkedTests) -> dict[str, Any]:
    """Return the change and the result of a mutant."""
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]
    function, owner = orig_function_and_class_names_from_key(name)
    return {
        "mutant": name,
        "function": f"{path}:{owner}.{function}" if owner else f"{path}:{function}",
        "before": "\n".join(line[1:].strip() for line in lines if line.startswith("-")),
        "after": "\n".join(line[1:].strip() for line in lines if line.startswith("+")),
        "status": tested.status[name],
        "seconds": round(tested.seconds[name], 3),
    }


def test(subject: str, mutants: list[Mutant]) -> ForkedTests:
    """Run the tests of a subject in the folder of the mutants."""
    tested = ForkedTests(mutants)
    folder = Path.cwd()
    os.chdir("mutants")
    sys.path.insert(0, str(Path.cwd()))
    for name in [n for n in sys.modules if n.startswith("benchmarks")]:
        del sys.modules[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    pytest.main([*_ARGUMENTS, *_SELECTED, *subjects()[subject].tests], plugins=[tested])
    os.chdir(folder)
    if tested.failed or len(tested.status) < len(mutants):
        sys.exit(f"tests fail without a mutant: {tested.failed}")
    return tested


def main() -> None:
    """Run some mutants of a subject (count 0: all) whose names contain `only`; write the result."""
    subject, count, seed, only, output = sys.argv[1:]
    files = all_mutants()
    names = sorted(name for name in files if only in name)
    if 0 < int(count) < len(names):
        names = sorted(random.Random(f"{subject} {seed}").sample(names, int(count)))
    tested = test(subject, [Mutant(name, files[name]) for name in names])
    mutants = [describe(name, files[name], tested) for name in names]
    record = {"all": len(files), "mutants": mutants}
    Path(output).write_text(json.dumps(record), encoding="utf-8")


if __name__ == "__main__":
    main()
