"""Parallel work through joblib: threads, processes, or a Dask or Ray cluster, by the same two settings.

``with parallel.jobs(4, "loky"): ...`` sets jobs and backend for everything inside it. Work that is parallel by nature
(256 continuations, independent samples) calls :func:`run`, which is a plain loop where no jobs are set. The results are
the same, in the same order, whatever the setting.

Backends: ``loky`` (processes on this machine, the default), ``threading``, ``dask``, ``dask:ADDRESS``, ``ray``, and
whatever else is registered with joblib.

A sampler calls :func:`run` once a byte, so the cost of one call decides what two jobs gain. ``joblib.Parallel`` polls
for results every 10 ms, which is longer than many a codec needs for all 256 continuations; so ``loky`` and
``threading`` talk to their pools directly (for ``loky`` joblib's own), kept from call to call. Clusters go through
``Parallel``.
"""

from __future__ import annotations

import logging
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from itertools import islice
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from compgen.errors import CompgenError, MissingExtraError, UsageError

T = TypeVar("T")
Arguments = Sequence[tuple[Any, ...]]
#: By which libraries for matrices are told, before they are loaded, how many threads to take.
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
#: Calls of a stream that are on their way at once, for each job: enough that no worker waits for the next.
_AHEAD = 3


class _Workers(ABC):
    """A pool that lives as long as a :func:`jobs` block."""

    n_jobs: int

    @abstractmethod
    def results(self, function: Callable[..., T], arguments: Arguments) -> Iterator[T]:
        """The results of the calls, in order, each as soon as it is there."""

    def stream(self, function: Callable[..., T], arguments: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, T]]:
        """See :func:`stream`: here some calls at a time."""
        left, first = iter(arguments), 0
        while some := list(islice(left, _AHEAD * self.n_jobs)):
            yield from enumerate(self.results(function, some), first)
            first += len(some)


#: The pool in force. A context variable, so that the threads of a pool do not see it and start workers of workers.
_workers: ContextVar[_Workers | None] = ContextVar("compgen_workers", default=None)


@contextmanager
def jobs(n_jobs: int, backend: str = "loky") -> Iterator[None]:
    """Run what is inside on ``n_jobs`` workers (-1: one a core) of a joblib backend.

    ``loky`` starts processes, which suits every codec; ``threading`` starts faster and suits code that releases the
    GIL. ``dask`` uses the current ``distributed.Client`` or, where there is none, starts a cluster of ``n_jobs``
    processes on this machine; ``dask:ADDRESS`` connects to a scheduler; ``ray`` uses Ray's own cluster. A cluster
    decides itself how many tasks run at once; work is cut into ``n_jobs`` parts for it.

    Raises :class:`~compgen.errors.UsageError` for an unknown backend, :class:`~compgen.errors.MissingExtraError` for
    one that is not installed, :class:`~compgen.errors.CompgenError` for a scheduler that does not answer.
    """
    if n_jobs == 0 or n_jobs < -1:
        raise UsageError(f"jobs must be -1 (one a core) or at least 1, not {n_jobs}")
    count = _cores() if n_jobs == -1 else n_jobs
    with ExitStack() as stack:
        workers = _open(backend, count, stack)
        token = _workers.set(workers)
        stack.callback(_workers.reset, token)
        yield


def n_jobs() -> int:
    """How many workers :func:`run` would use here."""
    workers = _workers.get()
    return 1 if workers is None else workers.n_jobs


def run(
    function: Callable[..., T],
    arguments: Arguments,
    done: Callable[[int], None] | None = None,
) -> list[T]:
    """``[function(*a) for a in arguments]`` on the workers; results in order.

    ``done(count)`` is called as results come in.
    """
    workers = _workers.get()
    if workers is None or workers.n_jobs == 1 or len(arguments) < 2:
        calls: Iterator[T] = (function(*a) for a in arguments)
    else:
        calls = workers.results(function, arguments)
    results = []
    for result in calls:
        results.append(result)
        if done is not None:
            done(len(results))
    return results


def stream(function: Callable[..., T], arguments: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, T]]:
    """``(i, function(*a))`` for the i-th ``a`` on the workers, in the order in which they are done.

    Arguments are taken as workers need them, so that they need not fit into memory together.
    """
    workers = _workers.get()
    if workers is None or workers.n_jobs == 1:
        return ((index, function(*a)) for index, a in enumerate(arguments))
    return workers.stream(function, arguments)


def _call(function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    """What a worker runs: one call, with no workers of its own."""
    token = _workers.set(None)
    try:
        return function(*arguments)
    finally:
        _workers.reset(token)


class _PoolWorkers(_Workers):
    """Threads or processes on this machine."""

    def __init__(self, n_jobs: int, executor: Callable[[], Executor], abandon: Callable[[Executor], None]) -> None:
        self.n_jobs = n_jobs
        self._executor = executor
        self._abandon = abandon

    def results(self, function: Callable[..., T], arguments: Arguments) -> Iterator[T]:
        executor = self._executor()
        futures = [executor.submit(_call, function, a) for a in arguments]
        try:
            for future in futures:
                yield future.result()
        except (KeyboardInterrupt, GeneratorExit):
            self._abandon(executor)  # whoever interrupts wants an end now, not when the running calls are done
            raise
        finally:
            for future in futures:
                future.cancel()

    def stream(self, function: Callable[..., T], arguments: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, T]]:
        executor, left = self._executor(), enumerate(arguments)
        running: dict[Future[T], int] = {}
        try:
            while True:
                for index, a in islice(left, _AHEAD * self.n_jobs - len(running)):
                    running[executor.submit(_call, function, a)] = index
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except (KeyboardInterrupt, GeneratorExit):
            self._abandon(executor)
            raise
        finally:
            for future in running:
                future.cancel()


class _JoblibWorkers(_Workers):
    """A cluster, or any other backend that is registered with joblib."""

    def __init__(self, n_jobs: int, backend: str) -> None:
        self.n_jobs = n_jobs
        self._backend = backend

    def results(self, function: Callable[..., T], arguments: Arguments) -> Iterator[T]:
        import joblib

        # parallel_config and not Parallel(backend=...): only it knows the backends that other packages provide.
        with joblib.parallel_config(self._backend, n_jobs=self.n_jobs):
            calls: list[T] = joblib.Parallel(batch_size=1, pre_dispatch="all")(
                joblib.delayed(_call)(function, a) for a in arguments
            )
        yield from calls


def _open(backend: str, n_jobs: int, stack: ExitStack) -> _Workers:
    """The workers of a backend; what must be closed again goes on the stack."""
    name, _, address = backend.partition(":")
    if address and name != "dask":
        raise UsageError(f"only dask takes an address, as dask:ADDRESS, not {backend!r}")
    if name == "threading":
        pool = ThreadPoolExecutor(n_jobs, "compgen")
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        return _PoolWorkers(n_jobs, lambda: pool, lambda executor: executor.shutdown(wait=False, cancel_futures=True))
    if name == "loky":
        return _PoolWorkers(n_jobs, lambda: _loky_pool(n_jobs), _kill_loky)
    if name == "dask":
        _connect_dask(address, n_jobs, stack)
    elif name == "ray":
        _register_ray()
    else:
        _require_registered(name)
    return _JoblibWorkers(n_jobs, name)


def _cores() -> int:
    import joblib

    return int(joblib.cpu_count())


def _loky_pool(n_jobs: int) -> Executor:
    """The pool that joblib itself uses for this many jobs; made on first use, kept for the next ``jobs`` block."""
    from joblib.externals.loky import get_reusable_executor

    # As many threads as there are cores in all: workers whose matrix products each take every core wait for each other.
    threads = dict.fromkeys(_THREAD_SETTINGS, str(max(1, _cores() // n_jobs)))
    executor: Executor = get_reusable_executor(
        max_workers=n_jobs, timeout=300, initializer=_ignore_interrupts, env=threads
    )
    return executor


def _ignore_interrupts() -> None:
    """A worker leaves Ctrl-C to the process that started it, which ends its workers without a traceback from each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _kill_loky(executor: Any) -> None:
    executor.shutdown(wait=False, kill_workers=True)


def _connect_dask(address: str, n_jobs: int, stack: ExitStack) -> None:
    try:
        from distributed import Client, LocalCluster, get_client
    except ImportError:
        raise MissingExtraError("the dask backend", "dask") from None
    if address:
        try:
            stack.enter_context(Client(address, timeout=10))
        except (OSError, ValueError) as error:
            raise CompgenError(f"no dask scheduler answers at {address!r} ({_first_line(error)})") from None
        return
    try:
        get_client()
    except ValueError:
        with ThreadPoolExecutor(1, initializer=_block_interrupts) as starter:
            sizes = {"n_workers": n_jobs, "threads_per_worker": 1}
            quiet = {"dashboard_address": ":0", "silence_logs": logging.ERROR}
            cluster = starter.submit(LocalCluster, **sizes, **quiet).result()
        stack.enter_context(cluster)
        stack.enter_context(Client(cluster))


def _block_interrupts() -> None:
    """Keep Ctrl-C from the calling thread and the processes it starts, which would each print a traceback."""
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # now, because starting it unblocks the signal again
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])


def _register_ray() -> None:
    try:
        from ray.util.joblib import register_ray
    except ImportError:
        raise UsageError("the ray backend needs the package ray: install it with  pip install ray") from None
    register_ray()


def _require_registered(name: str) -> None:
    import joblib

    if name not in joblib.parallel.BACKENDS:
        known = ", ".join(sorted({*joblib.parallel.BACKENDS, "dask", "ray"}))
        raise UsageError(f"unknown backend {name!r}; known: {known}")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
