"""What does the benchmark cost on top of the codec's own work, and what do two jobs gain?

Run:  python scripts/bench_benchmark.py [--data FILE] [--chunks N] [--rounds N] [--jobs N]

``rates`` for gzip over chunks of 2048 bytes, results kept in a folder as the command does, against bare calls of
``zlib.compress(chunk, 9)`` on the same chunks, with one job and with several (a pool of as many processes, the same
batches). All take turns in one run; medians of wall time. Workers and compiled code are warm for both. Also the time of
the whole command, from a cold start, and of a second run that finds its results. On a busy machine jobs gain little, so
their CPU times are compared too: what one job takes, against a share of what all processes take together. Prints a
table and one last line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

import compgen
from compgen.benchmark.engine import Run
from compgen.benchmark.rates import rates
from compgen.benchmark.store import Store
from compgen.datasets import CHUNK_BYTES, Dataset, load

BATCH = 512


def bare(chunks: list[bytes]) -> int:
    return sum(len(zlib.compress(chunk, 9)) for chunk in chunks)


def measured(dataset: Dataset, folder: Path) -> Callable[[], object]:
    """``rates`` with results kept in a new folder each time."""

    def work() -> object:
        kept = Path(tempfile.mkdtemp(dir=folder))
        [row] = rates(dataset, ["gzip"], whole="none", run=Run(Store([kept])))
        assert row["status"] == "ok"
        return row

    return work


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def cpu_of_all() -> float:
    """CPU seconds of this process and its workers so far."""
    this = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in (this, *this.children(recursive=True)))


def command(path: Path, count: int, folder: Path) -> float:
    """Wall time of the program itself."""
    arguments = ["bench", "rates", str(path), "--model", "gzip", "--whole", "none", "--limit-chunks", str(count)]
    arguments += ["--out", str(folder / "out"), "--no-cache", "-q"]
    return seconds(lambda: subprocess.run([sys.executable, "-m", "compgen", *arguments], check=True))


def text_of(path: str | None, size: int) -> bytes:
    """A text of this size: a file's, repeated if it is too short, or words drawn at random."""
    if path:
        data = load(path).read()
        return (data * (size // len(data) + 1))[:size]
    words = [bytes(row) for row in np.random.default_rng(0).integers(97, 123, (5000, 6), np.uint8)]
    chosen = np.random.default_rng(1).zipf(1.3, size // 6) % len(words)
    return b" ".join(words[i] for i in chosen)[:size]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a text; default: words at random")
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "text.txt"
        path.write_bytes(text_of(arguments.data, arguments.chunks * CHUNK_BYTES))
        dataset = load(str(path), limit_chunks=arguments.chunks)
        chunks = list(dataset.chunks())
        batches = [chunks[i : i + BATCH] for i in range(0, len(chunks), BATCH)]
        work = measured(dataset, folder)
        pool = ProcessPoolExecutor(arguments.jobs)
        list(pool.map(bare, batches))
        names = ("bare", "rates", "bare_cpu", "rates_cpu", "bare_jobs", "rates_jobs", "rates_jobs_cpu")
        times: dict[str, list[float]] = {name: [] for name in names}
        with compgen.jobs(arguments.jobs):
            work()
        for _ in range(arguments.rounds):
            start = time.process_time()
            times["bare"].append(seconds(lambda: bare(chunks)))
            between = time.process_time()
            times["rates"].append(seconds(work))
            times["bare_cpu"].append(between - start)
            times["rates_cpu"].append(time.process_time() - between)
            times["bare_jobs"].append(seconds(lambda: sum(pool.map(bare, batches))))
            with compgen.jobs(arguments.jobs):
                before = cpu_of_all()
                times["rates_jobs"].append(seconds(work))
                times["rates_jobs_cpu"].append(cpu_of_all() - before)
        pool.shutdown()
        cold, again = command(path, arguments.chunks, folder), command(path, arguments.chunks, folder)
    median = {name: statistics.median(values) for name, values in times.items()}
    report(arguments, median, cold, again)


def report(arguments: argparse.Namespace, median: dict[str, float], cold: float, again: float) -> None:
    result = {
        "benchmark": "rates of gzip",
        "chunks": arguments.chunks,
        "jobs": arguments.jobs,
        **{f"{name}_seconds": round(value, 3) for name, value in median.items()},
        "overhead": round(median["rates"] / median["bare"], 3),
        "overhead_cpu": round(median["rates_cpu"] / median["bare_cpu"], 3),
        "overhead_jobs": round(median["rates_jobs"] / median["bare_jobs"], 3),
        "speedup_of_jobs": round(median["rates"] / median["rates_jobs"], 3),
        "speedup_of_jobs_by_cpu": round(arguments.jobs * median["rates_cpu"] / median["rates_jobs_cpu"], 3),
        "bare_speedup_of_jobs": round(median["bare"] / median["bare_jobs"], 3),
        "command_seconds": round(cold, 3),
        "command_again_seconds": round(again, 3),
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
    table = Table("", "one job", f"{arguments.jobs} jobs", "gain", box=None, header_style="dim")
    for name, key in (("bare zlib calls", "bare"), ("rates", "rates")):
        one, more = median[key], median[f"{key}_jobs"]
        table.add_row(name, f"{one:.3f} s", f"{more:.3f} s", f"{one / more:.2f}x")
    table.add_row("ratio", f"{result['overhead']:.2f}", f"{result['overhead_jobs']:.2f}")
    table.add_row("ratio of CPU times", f"{result['overhead_cpu']:.2f}")
    table.add_row("gain on idle cores, from CPU times", "", "", f"{result['speedup_of_jobs_by_cpu']:.2f}x")
    table.add_row("the command, cold", f"{cold:.2f} s")
    table.add_row("the command again", f"{again:.2f} s")
    Console().print(table)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
