# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of one module without pytest: on MicroPython.

Is not a test framework: it calls the named functions in this order and prints one line for each.
`tests/conftest.py` starts it and reads its output:

    micropython -X heapsize=8M -m tests.portable.support.runner MODULE [TEST]...

    @@ ok NAME               the test passed
    @@ fail NAME             it raised; its traceback follows, up to the next line with `@@`
    @@ end                   all tests were run: without it, the interpreter has died
"""

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "@@"
LARGE = 4_000_000
"""A heap with more free bytes needs no collection before it is full."""


def run(name: str, test: "Callable[[], None]") -> bool:
    """Call one test and print its result."""
    try:
        test()
    except Exception as error:  # noqa: BLE001  (the outermost: every failure is a result)
        print(MARK, "fail", name)
        sys.print_exception(error, sys.stdout)  # MicroPython's own; CPython has pytest
        return False
    print(MARK, "ok", name)
    return True


def main(argv: "list[str]") -> int:
    """Run the named tests of a module, or all of them; return the number of failures."""
    is_small = gc.mem_free() < LARGE  # type: ignore[attr-defined]
    if is_small:  # an image: as in the lock-step, this keeps the objects together
        gc.threshold(32768)  # type: ignore[attr-defined]
    module = __import__(argv[0])
    for part in argv[0].split(".")[1:]:
        module = getattr(module, part)
    names = argv[1:] or sorted(n for n in dir(module) if n.startswith("test_"))
    failed = 0
    for name in names:
        if is_small:
            gc.collect()
        failed += not run(name, getattr(module, name))
    print(MARK, "end")
    return failed


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
