# SPDX-License-Identifier: Apache-2.0
"""Results that are kept for the next call, on interpreters with memory for it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Function = TypeVar("Function", bound=Callable[..., object])


def remember(count: int) -> "Callable[[Function], Function]":
    """Decorate a function that remembers its last `count` results; on a board, itself."""
    return lambda function: _remember(function, count)


def _remember(function: "Function", count: int) -> "Function":
    if not hasattr(b"", "isascii"):
        return function
    try:  # `functools` without the modules that it loads: 4 ms of each start
        from _functools import _lru_cache_wrapper  # type: ignore[import-not-found]  # noqa: PLC0415
    except ImportError:
        from functools import lru_cache  # noqa: PLC0415 - as above

        return lru_cache(count)(function)  # type: ignore[return-value]
    return _lru_cache_wrapper(function, count, False, tuple)  # type: ignore[no-any-return]
