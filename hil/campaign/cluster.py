"""Runs on a cluster that somebody names: `dask:HOST:PORT` or `ray:HOST:PORT`.

Not a dependency: neither is installed with coldloop (extras `dask`, `ray`). The workers need
the same coldloop: each job carries the hash of the code that asked for it, and a worker whose own
code has another refuses. A job that a lost worker had is run again elsewhere; the seed is the run.
"""

import functools
import importlib
import logging
import platform
import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from hil.errors import BenchError
from hil.record.record import bench_hash

JobFunction = Callable[..., Any]
JobArguments = list[tuple[Any, ...]]

_CONNECT_TIMEOUT_S = 5
_WORKER_TIMEOUT_S = 20


def run_on_cluster(cluster: str, call: JobFunction, arguments: JobArguments) -> Iterator[Any]:
    """Call `call(*arguments[i])` on the cluster; give the results as they come. BenchError."""
    kind, _, address = cluster.partition(":")
    host, _, port = address.rpartition(":")
    if kind not in _KINDS or not host or not port.isdecimal():
        raise BenchError(f"--cluster: {cluster!r} is not dask:HOST:PORT or ray:HOST:PORT")
    cluster_kind = _KINDS[kind]
    module = _load_module(cluster_kind.module, cluster_kind.package)
    _check_reachable(host, int(port))
    jobs = [(_own_code_hash(), call, job_arguments) for job_arguments in arguments]
    try:
        yield from cluster_kind.run(module, address, jobs)
    except BenchError:
        raise
    except Exception as error:  # whatever a worker died of
        text = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {text[-1] if text else 'no reason told'}"
        raise BenchError(f"--cluster: {address}: {reason}") from error


def call_checked(code_hash: str, call: JobFunction, arguments: tuple[Any, ...]) -> Any:
    """On the worker: call it if the code here is the code there. BenchError."""
    if code_hash != _own_code_hash():
        raise BenchError(f"--cluster: the worker on {platform.node()} has another coldloop")
    return call(*arguments)


@functools.cache
def _own_code_hash() -> str:
    return bench_hash()


def _load_module(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise BenchError(f"--cluster: {package} is not installed; pip install {package}") from None


def _check_reachable(host: str, port: int) -> None:
    """Say at once that nobody listens: Ray takes minutes to."""
    try:
        socket.create_connection((host, port), _CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise BenchError(f"--cluster: {host}:{port}: {error.strerror or error}") from None


def _run_on_dask(distributed: Any, address: str, jobs: JobArguments) -> Iterator[Any]:
    with distributed.Client(f"tcp://{address}", timeout=_CONNECT_TIMEOUT_S) as client:
        try:
            client.wait_for_workers(1, timeout=_WORKER_TIMEOUT_S)
        except TimeoutError:
            raise BenchError(
                f"--cluster: {address}: no worker after {_WORKER_TIMEOUT_S} s"
            ) from None
        futures = [client.submit(call_checked, *job, pure=False) for job in jobs]
        for future in distributed.as_completed(futures):
            yield future.result()


def _run_on_ray(ray: Any, address: str, jobs: JobArguments) -> Iterator[Any]:
    ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    try:
        remote = ray.remote(call_checked)
        pending = [remote.remote(*job) for job in jobs]
        while pending:
            ready, pending = ray.wait(pending)
            yield from ray.get(ready)
    finally:
        ray.shutdown()


class _ClusterKind(NamedTuple):
    """A kind of cluster: its Python module, its package to install, and the function that runs it."""

    module: str
    package: str
    run: Callable[[Any, str, JobArguments], Iterator[Any]]


_KINDS = {
    "dask": _ClusterKind("distributed", "distributed", _run_on_dask),
    "ray": _ClusterKind("ray", "ray", _run_on_ray),
}
