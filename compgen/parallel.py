"""Parallel work through joblib: threads, processes, or a Dask or Ray cluster, by the same two settings.

``with parallel.jobs(4, "loky"): ...`` sets jobs and backend for everything inside it. Work that is parallel by nature
(256 continuations, independent samples) calls :func:`run`, which is a plain loop where no jobs are set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import joblib

from compgen.errors import CompgenError, MissingExtraError, UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class _Setting:
    n_jobs: int
    backend: str


#: Per thread and task, so that a worker's own calls to :func:`run` do not start workers of workers.
_setting: ContextVar[_Setting | None] = ContextVar("compgen_jobs", default=None)


@contextmanager
def jobs(n_jobs: int, backend: str = "threading") -> Iterator[None]:
    """Run what is inside on ``n_jobs`` workers (-1: one a core) of a joblib backend.

    ``threading`` suits codecs, which release the GIL; ``loky`` starts processes; ``dask`` and ``ray`` use the cluster that the
    current process is connected to (for Dask, the current ``distributed.Client``).
    """
    if n_jobs == 0 or n_jobs < -1:
        raise UsageError(f"jobs must be -1 (one a core) or at least 1, not {n_jobs}")
    _require_backend(backend)
    token = _setting.set(_Setting(joblib.cpu_count() if n_jobs == -1 else n_jobs, backend))
    try:
        yield
    finally:
        _setting.reset(token)


def n_jobs() -> int:
    """How many workers :func:`run` would use here."""
    setting = _setting.get()
    return 1 if setting is None else setting.n_jobs


def split(items: Sequence[T], parts_per_job: int = 1) -> list[Sequence[T]]:
    """Cut items into as many even, contiguous parts as there are jobs (times ``parts_per_job``), none of them empty."""
    parts = max(1, min(len(items), n_jobs() * parts_per_job if n_jobs() > 1 else 1))
    bounds = [len(items) * i // parts for i in range(parts + 1)]
    return [items[start:stop] for start, stop in zip(bounds, bounds[1:], strict=False)]


def run(
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    done: Callable[[int], None] | None = None,
) -> list[T]:
    """``[function(*a) for a in arguments]`` on the workers; results in order. ``done(count)`` is called as results come in."""
    setting = _setting.get()
    if setting is None or setting.n_jobs == 1 or len(arguments) < 2:
        calls = (function(*a) for a in arguments)
    else:
        workers = joblib.Parallel(n_jobs=setting.n_jobs, backend=setting.backend, return_as="generator", batch_size=1)
        calls = workers(joblib.delayed(function)(*a) for a in arguments)
    results = []
    for result in calls:
        results.append(result)
        if done is not None:
            done(len(results))
    return results


def _require_backend(backend: str) -> None:
    if backend == "dask":
        try:
            from distributed import get_client
        except ImportError:
            raise MissingExtraError("the dask backend", "dask") from None
        try:
            get_client()
        except ValueError:
            raise CompgenError(
                "the dask backend needs a running cluster: create a distributed.Client first, "
                "or name its address on the command line as --backend dask:ADDRESS"
            ) from None
    elif backend == "ray":
        try:
            from ray.util.joblib import register_ray
        except ImportError:
            raise UsageError("the ray backend needs the package ray: install it with  pip install ray") from None
        register_ray()
    elif backend not in joblib.parallel.BACKENDS:
        known = ", ".join(sorted({*joblib.parallel.BACKENDS, "dask", "ray"}))
        raise UsageError(f"unknown backend {backend!r}; known: {known}")
