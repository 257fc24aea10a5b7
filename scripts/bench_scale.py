"""What the paper's full runs cost: 488,281 chunks of 2048 bytes (1 GB) of each set, for each codec and model.

    python scripts/bench_scale.py                  measure on samples, print a table and one line of JSON
    python scripts/bench_scale.py --write          and put the tables into docs/scale.md
    python scripts/bench_scale.py --rates F.json   compute from the JSON of an earlier run, on any machine

CPU time is measured, of all threads together, on one core at a time: chunks do not depend on one another, so core-hours
add up, and a machine of n cores takes a part of 1 / (n * efficiency) of them. Needs real data (COMPGEN_DATA).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from compgen.benchmark.subjects import code_lengths, subject  # noqa: E402  # once the threads are set
from compgen.datasets import CHUNK_BYTES, PAPER_CHUNKS, Dataset, load  # noqa: E402

PAGE = Path(__file__).resolve().parent.parent / "docs" / "scale.md"
SETS = ("enwik9", "imagenet", "librispeech")
MODELS = (
    *("gzip", "lzma2", "png", "flac", "bz2", "zstd", "brotli", "order3", "cm"),
    *("transformer:size=200k", "transformer:size=800k"),
)
#: Codecs and models that learn from the data alone are run on the whole as one stream too.
WHOLE = ("gzip", "lzma2", "bz2", "zstd", "brotli", "order3", "cm")
#: Machines that the tables are about: name, machines, cores of each.
MACHINES = (("2 cores", 1, 2), ("16 cores", 1, 16), ("64 cores", 1, 64), ("20 machines of 64", 20, 64))
#: Of the ideal speed-up: the least that the benchmark is held to with two jobs, 1.7 times one.
EFFICIENCY = 0.85
#: CPU seconds of a measurement at least, and how many there are of each, one after the other in turn.
SECONDS, ROUNDS = 0.2, 3
WHOLE_BYTES = 500_000
#: Chunks that are coded at once.
_BATCH = 8


def core_hours(seconds_per_chunk: float, chunks: int = PAPER_CHUNKS) -> float:
    """Of a full run in chunks."""
    return seconds_per_chunk * chunks / 3600


def hours(core_hours: float, machines: int, cores: int, efficiency: float = EFFICIENCY) -> float:
    """By the clock, on so many machines."""
    return core_hours / (machines * cores * efficiency)


def whole_hours(seconds_per_byte: float, size_bytes: int = PAPER_CHUNKS * CHUNK_BYTES) -> float:
    """Of one stream, which no second core shortens."""
    return seconds_per_byte * size_bytes / 3600


def measure() -> dict[str, Any]:
    """CPU seconds a chunk, a byte of one stream, and a chunk of reading, by set and model."""
    samples = {name: load(name, limit_chunks=64) for name in SETS}
    chunked = {(name, model): 0.0 for name in SETS for model in MODELS}
    whole = {(SETS[0], model): 0.0 for model in WHOLE}
    stream = load(SETS[0], limit_bytes=WHOLE_BYTES).read()
    times: dict[Any, list[float]] = {}
    for _ in range(ROUNDS):
        for name, model in chunked:
            times.setdefault(("chunk", name, model), []).append(_seconds_per_chunk(samples[name], model))
        for name, model in whole:
            times.setdefault(("whole", name, model), []).append(_seconds_per_byte(samples[name], model, stream))
        for name in SETS:
            times.setdefault(("reading", name, ""), []).append(_reading(name))
    found = [
        {"what": what, "dataset": name, "model": model, "cpu_seconds": float(f"{statistics.median(all_times):.4g}")}
        for (what, name, model), all_times in times.items()
    ]
    return {"benchmark": "scale", "machine": _machine(), "python": platform.python_version(), "measured": found}


def _seconds_per_chunk(sample: Dataset, model: str) -> float:
    found, chunks = subject(model, sample), list(sample.chunks())
    code_lengths(found.compressor, chunks[:1])  # compiled, loaded
    start = time.process_time()
    for count in range(1, 1000):
        first = _BATCH * (count - 1) % len(chunks)
        code_lengths(found.compressor, chunks[first : first + _BATCH])
        if (taken := time.process_time() - start) > SECONDS:
            break
    return taken / (count * _BATCH)


def _seconds_per_byte(sample: Dataset, model: str, stream: bytes) -> float:
    found = subject(model, sample)
    start = time.process_time()
    code_lengths(found.compressor, [stream])
    return (time.process_time() - start) / len(stream)


def _reading(name: str) -> float:
    """CPU seconds a chunk of decoding, once for the hash of the data and once for the work."""
    dataset = load(name, limit_chunks=1000)
    start = time.process_time()
    for _ in dataset.chunks():
        pass
    return 2 * (time.process_time() - start) / dataset.chunk_count


def _machine() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
        return f"{names[0]}, {os.cpu_count()} cores"
    except (OSError, IndexError):
        return f"{platform.machine()}, {os.cpu_count()} cores"


# --- tables ----------------------------------------------------------------------------------------------------------


def tables(rates: dict[str, Any]) -> str:
    """The generated part of docs/scale.md."""
    by = {(row["what"], row["dataset"], row["model"]): row["cpu_seconds"] for row in rates["measured"]}
    models = list(dict.fromkeys(row["model"] for row in rates["measured"] if row["what"] == "chunk"))
    sets = list(dict.fromkeys(row["dataset"] for row in rates["measured"] if row["what"] == "chunk"))
    full = {model: sum(core_hours(by["chunk", name, model]) for name in sets) for model in models}
    reading = {name: core_hours(by["reading", name, ""]) for name in sets}
    lines = [
        f"Measured on: {rates['machine']}, Python {rates['python']}.",
        "",
        "In chunks, time of one core:",
        "",
    ]
    rows = [
        [model, *(_say(core_hours(by["chunk", name, model])) for name in sets), _say(full[model])] for model in models
    ]
    rows.append(["reading the data", *(_say(reading[name]) for name in sets), _say(sum(reading.values()))])
    rows.append(["**all of it**", *[""] * len(sets), f"**{_say(sum(full.values()) + sum(reading.values()))}**"])
    lines += _table(["", *sets, "all three"], rows)
    lines += ["", "In chunks, time by the clock for all three sets:", ""]
    total = {**full, "**all of it**": sum(full.values()) + sum(reading.values())}
    lines += _table(
        ["", *(name for name, _, _ in MACHINES)],
        [[model, *(_say(hours(cost, count, cores)) for _, count, cores in MACHINES)] for model, cost in total.items()],
    )
    whole = [(name, model, each) for (what, name, model), each in by.items() if what == "whole"]
    lines += ["", f"As one stream of 1 GB, time by the clock on one core ({whole[0][0]}):", ""]
    lines += _table([model for _, model, _ in whole], [[_say(whole_hours(each)) for _, _, each in whole]])
    return "\n".join(lines)


def _say(hours: float) -> str:
    """A time in the unit in which it is no long number."""
    for unit, size_hours in (("d", 24), ("h", 1), ("min", 1 / 60)):
        if hours >= 2 * size_hours or (unit == "min" and hours >= size_hours):
            number = hours / size_hours
            return f"{number:.0f} {unit}" if number >= 10 else f"{number:.2g} {unit}"
    return f"{hours * 3600:.2g} s"


def _table(header: list[str], rows: Iterable[list[str]]) -> list[str]:
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return ["| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)]


def write(text: str) -> None:
    """Put the tables between the marks in docs/scale.md."""
    page = PAGE.read_text(encoding="utf-8")
    before, start, rest = page.partition("<!-- computed by scripts/bench_scale.py -->\n")
    _, end, after = rest.partition("<!-- end -->")
    if not start or not end:
        raise SystemExit(f"{PAGE} lacks the marks between which the tables go")
    PAGE.write_text(before + start + "\n" + text + "\n\n" + end + after, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=Path, help="JSON of an earlier run")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scale.md")
    arguments = parser.parse_args()
    rates = json.loads(arguments.rates.read_text(encoding="utf-8")) if arguments.rates else measure()
    text = tables(rates)
    print(text)
    if arguments.write:
        write(text)
    print(json.dumps(rates))


if __name__ == "__main__":
    sys.exit(main())
