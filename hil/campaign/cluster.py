# SPDX-License-Identifier: Apache-2.0
"""Runs jobs on a cluster: `dask:HOST:PORT` or `ray:HOST:PORT`.

Does not install Dask or Ray (extras `dask`, `ray`). The workers need the same code. Each job
carries the hash of the code, and a worker with another hash refuses it. If a worker is lost, the
cluster repeats its job elsewhere. The seed determines the run, so the result does not change.
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
    """Call `call(*arguments[i])` on the cluster; give results as they arrive. Raises BenchError."""
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
    except Exception as error:  # any exception of a worker
        text = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {text[-1] if text else 'no reason given'}"
        raise BenchError(f"--cluster: {address}: {reason}") from error


def call_checked(code_hash: str, call: JobFunction, arguments: tuple[Any, ...]) -> Any:
    """Call the function on the worker if the code is equal there. Raises BenchError."""
    if code_hash != _own_code_hash():
        raise BenchError(
            f"--cluster: the worker on {platform.node()} has another version of coldloop"
        )
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
    """Report an unreachable host immediately: Ray would need minutes. Raises BenchError."""
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
    """A kind of cluster: its module, its package to install, and its function."""

    module: str
    package: str
    run: Callable[[Any, str, JobArguments], Iterator[Any]]


_KINDS = {
    "dask": _ClusterKind("distributed", "distributed", _run_on_dask),
    "ray": _ClusterKind("ray", "ray", _run_on_ray),
}
