"""Runs on a cluster that somebody names: `dask:HOST:PORT` or `ray:ADDRESS`.

Not a dependency: neither is installed with coldloop. The workers need the same coldloop installed.
"""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from hil.errors import BenchError

Call = Callable[..., Any]
Arguments = list[tuple[Any, ...]]


def spread(cluster: str, call: Call, arguments: Arguments) -> Iterator[Any]:
    """Call `call(*arguments[i])` on the cluster; give the results as they come. BenchError."""
    kind, _, address = cluster.partition(":")
    if kind not in _KINDS or not address:
        raise BenchError(f"--cluster: {cluster!r} is not dask:HOST:PORT or ray:ADDRESS")
    return _KINDS[kind](address, call, arguments)


def _load(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise BenchError(f"--cluster: {package} is not installed; pip install {package}") from None


def _dask(address: str, call: Call, arguments: Arguments) -> Iterator[Any]:
    distributed = _load("distributed", "distributed")
    try:
        client = distributed.Client(f"tcp://{address}", timeout=10)
    except OSError as error:
        raise BenchError(f"--cluster: {address}: {error}") from None
    with client:
        futures = [client.submit(call, *words, pure=False) for words in arguments]
        for future in distributed.as_completed(futures):
            yield future.result()


def _ray(address: str, call: Call, arguments: Arguments) -> Iterator[Any]:
    ray = _load("ray", "ray")
    ray.init(address=address)
    try:
        remote = ray.remote(call)
        waiting = [remote.remote(*words) for words in arguments]
        while waiting:
            done, waiting = ray.wait(waiting)
            yield from ray.get(done)
    finally:
        ray.shutdown()


_KINDS: dict[str, Callable[[str, Call, Arguments], Iterator[Any]]] = {"dask": _dask, "ray": _ray}
