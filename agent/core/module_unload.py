# SPDX-License-Identifier: Apache-2.0
"""Drop modules that only a start or a rare command needs; the next import loads them again.

Does not free objects by itself: the garbage collector does, if nothing else refers to the module.
"""

import gc
import sys

_IS_BOARD = sys.implementation.name == "micropython"


def drop_modules(names: "tuple[str, ...]", collects: bool = True) -> None:
    """Drop the modules `names` on a board; do nothing on CPython.

    `collects`: free the memory now, which takes 10 to 15 ms. A part of a start need not: the start
    ends with a collection.
    """
    if _IS_BOARD:
        forget_modules(names)
        if collects:
            gc.collect()


def forget_modules(names: "tuple[str, ...] | list[str]") -> None:
    """Remove the loaded modules among `names` from the list of modules and from their packages."""
    for full_name in names:
        if full_name in sys.modules:
            del sys.modules[full_name]
            package, _, name = full_name.rpartition(".")
            if hasattr(sys.modules.get(package), name):
                delattr(sys.modules[package], name)
