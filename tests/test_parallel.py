"""Work gives the same results, in the same order, on every backend."""

from __future__ import annotations

import lzma
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import compgen
from compgen import parallel
from compgen.interfaces import Compressor

BACKENDS = ["loky", "threading", "dask", "multiprocessing"]
CONTEXT = b"it was the best of times, it was the worst of times, it was the age of wisdom, it was "


@dataclass(frozen=True)
class RawLzma(Compressor):
    """A codec that only has brute force: a call takes about 0.2 ms, as those of the real ones do."""

    name = "rawlzma"

    def compress(self, data: bytes) -> bytes:
        return lzma.compress(data, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 4096}])

    def decompress(self, data: bytes) -> bytes:
        raise NotImplementedError

    def code_length(self, data: bytes) -> float:
        return 8.0 * len(self.compress(data))


@pytest.fixture(scope="module")
def dask_address() -> Iterator[str]:
    """A real cluster: a scheduler and two workers, each a process of its own."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


@pytest.fixture(params=[*BACKENDS, "dask:ADDRESS"])
def backend(request: pytest.FixtureRequest) -> Any:
    if request.param == "dask:ADDRESS":
        return "dask:" + request.getfixturevalue("dask_address")
    if request.param == "dask":
        pytest.importorskip("distributed")
    return request.param


def square(number: int) -> int:
    return number * number


def fail_at(number: int, culprit: int) -> int:
    if number == culprit:
        raise compgen.BadInputError(f"number {number} is bad")
    return number


def jobs_seen(_number: int) -> tuple[int, list[int]]:
    return parallel.n_jobs(), parallel.run(square, [(1,), (2,), (3,)])


def identity() -> tuple[int, int]:
    time.sleep(0.05)
    return os.getpid(), threading.get_ident()


def test_results_come_in_order(backend: str) -> None:
    with parallel.jobs(2, backend):
        assert parallel.n_jobs() == 2
        assert parallel.run(square, [(n,) for n in range(20)]) == [n * n for n in range(20)]
    assert parallel.n_jobs() == 1


def test_code_lengths_equal_the_sequential_ones(backend: str) -> None:
    expected = RawLzma().continuations(CONTEXT).lengths()
    with parallel.jobs(2, backend):
        continuations = RawLzma().continuations(CONTEXT[:-1])
        continuations.push(CONTEXT[-1])
        np.testing.assert_array_equal(continuations.lengths(), expected)


def test_samples_equal_the_sequential_ones(backend: str) -> None:
    model = compgen.as_predictor(RawLzma())
    expected = compgen.sample(model, CONTEXT, 3, samples=2, seed=5)
    with parallel.jobs(2, backend):
        assert compgen.sample(model, CONTEXT, 3, samples=2, seed=5) == expected


def test_a_worker_starts_no_workers_of_its_own(backend: str) -> None:
    with parallel.jobs(2, backend):
        assert parallel.run(jobs_seen, [(n,) for n in range(4)]) == [(1, [1, 4, 9])] * 4


def test_an_exception_reaches_the_caller_and_the_pool_works_on(backend: str) -> None:
    with parallel.jobs(2, backend):
        with pytest.raises(compgen.BadInputError, match="number 3 is bad"):
            parallel.run(fail_at, [(n, 3) for n in range(6)])
        assert parallel.run(square, [(2,), (3,)]) == [4, 9]


@pytest.mark.parametrize("backend", ["loky", "threading", "dask"])
def test_the_work_is_shared(backend: str) -> None:
    if backend == "dask":
        pytest.importorskip("distributed")
    with parallel.jobs(2, backend):
        parallel.run(identity, [()] * 4)  # workers may come up one after the other
        assert len(set(parallel.run(identity, [()] * 8))) == 2


def test_done_counts_up() -> None:
    for n_jobs in (1, 2):
        seen: list[int] = []
        with parallel.jobs(n_jobs, "threading"):
            parallel.run(square, [(n,) for n in range(5)], seen.append)
        assert seen == [1, 2, 3, 4, 5]


def test_an_existing_dask_client_is_used_and_left_open(dask_address: str) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.Client(dask_address) as client:
        with parallel.jobs(2, "dask"):
            pids = {pid for pid, _ in parallel.run(identity, [()] * 8)}
        assert pids <= set(client.run(os.getpid).values())
        assert client.status == "running"


def test_one_job_starts_nothing() -> None:
    with parallel.jobs(1):
        assert parallel.run(identity, [()] * 2) == [(os.getpid(), threading.get_ident())] * 2


@pytest.mark.parametrize(
    ("n_jobs", "backend", "message"),
    [
        (0, "loky", "jobs must be -1"),
        (-2, "loky", "jobs must be -1"),
        (2, "dusk", "unknown backend 'dusk'; known: dask, "),
        (2, "loky:somewhere", "only dask takes an address"),
    ],
)
def test_wrong_settings(n_jobs: int, backend: str, message: str) -> None:
    with pytest.raises(compgen.UsageError, match=message), parallel.jobs(n_jobs, backend):
        pass


def test_a_backend_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(compgen.MissingExtraError, match=r"pip install 'compgen\[dask\]'"), parallel.jobs(2, "dask"):
        pass
    monkeypatch.setitem(sys.modules, "ray.util.joblib", None)
    with pytest.raises(compgen.UsageError, match="pip install ray"), parallel.jobs(2, "ray"):
        pass


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")

    def refuse(address: str, timeout: float) -> None:
        raise OSError(f"Timed out trying to connect to {address} after {timeout} s\nand more")

    monkeypatch.setattr(distributed, "Client", refuse)
    with (
        pytest.raises(compgen.CompgenError, match=r"^no dask scheduler answers at 'tcp://x:1' \(Timed out .*\)$"),
        parallel.jobs(2, "dask:tcp://x:1"),
    ):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to another process")
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_an_interruption_does_not_wait_for_the_work(backend: str) -> None:
    """Ctrl-C in a library call: KeyboardInterrupt in the caller while the workers are still busy."""
    program = f"""
        import os, time
        from compgen import parallel

        if __name__ == "__main__":
            try:
                with parallel.jobs(2, {backend!r}):
                    parallel.run(abs, [(1,), (2,)])
                    print("ready", flush=True)
                    parallel.run(time.sleep, [(20,), (20,)])
            except KeyboardInterrupt:
                print("interrupted", flush=True)
                os._exit(7)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == b"interrupted\n"
    assert process.wait(timeout=10) == 7
    process.stdout.close()


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
def test_two_jobs_are_worth_it() -> None:
    """A guard, not the measurement: the machine may be busy with other tests."""
    context = bytes(np.random.default_rng(0).integers(97, 105, 2048, dtype=np.uint8))
    continuations = RawLzma().continuations(context)

    def seconds() -> float:
        continuations.lengths()
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            continuations.lengths()
            best = min(best, time.perf_counter() - start)
        return best

    alone = seconds()
    with parallel.jobs(2):
        assert alone / seconds() > 1.3
