# SPDX-License-Identifier: Apache-2.0
"""The cores of a process: without the functions of CPython the result is the same."""

import os

import pytest

from hil.kernel.cpu_affinity import read_cores, set_cores


def test_the_c_library_gives_the_same_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.sched_getaffinity(0)
    native = os.sched_getaffinity
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.delattr(os, "sched_setaffinity")
    try:
        assert read_cores() == read_cores(os.getpid()) == before
        set_cores(0, {max(before)})
        assert read_cores() == native(0) == {max(before)}
    finally:
        set_cores(0, before)
    assert native(0) == before


def test_a_process_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProcessLookupError):
        read_cores(2**30)
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.delattr(os, "sched_setaffinity")
    with pytest.raises(ProcessLookupError):
        read_cores(2**30)
    with pytest.raises(OSError, match="Invalid"):
        set_cores(0, set())
