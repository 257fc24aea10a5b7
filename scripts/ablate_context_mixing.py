"""What does each part of ``cm`` gain, in bytes, and cost, in time?

Run:  python scripts/ablate_context_mixing.py FILE [--level N] [--repeats N]

Codes FILE (.xz is unpacked) with the whole model and with one part at a time taken out. Prints a table and one last
line of JSON. Times are process times, the least of the repeats; on a busy machine differences below 5 % mean nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import lzma
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from rich.console import Console
from rich.table import Table

from compgen.predictors.contextmix import ContextMix, predictor
from compgen.predictors.contextmix.settings import NEVER, Recipe, recipe


def without(items: tuple[object, ...], index: int) -> tuple[object, ...]:
    return items[:index] + items[index + 1 :]


def variants(whole: Recipe) -> Iterator[tuple[str, Recipe]]:
    """The model with one part missing, and what part."""
    change = dataclasses.replace
    for i, context in enumerate(whole.contexts):
        yield f"context: {context.name}", change(whole, contexts=without(whole.contexts, i))
    for i, selector in enumerate(whole.selectors):
        if len(whole.selectors) > 1:
            yield f"weights by: {selector.name}", change(whole, selectors=without(whole.selectors, i))
    long, short = whole.minimum
    if long < NEVER:
        yield "long match", change(whole, minimum=(NEVER, short))
    yield "short match", change(whole, minimum=(long, NEVER))
    yield "all matches", change(whole, minimum=(NEVER, NEVER))
    if whole.refining:
        yield "final probability maps", change(whole, refining=False)
    yield "fast start of the weights", change(whole, speed_start=0)


def measure(data: bytes, level: int, made: Recipe, repeats: int) -> tuple[int, float]:
    """Bytes and seconds."""
    model, times, size = ContextMix(level=level, mode="general"), [], 0
    with mock.patch.object(predictor, "recipe", return_value=made):
        for _ in range(repeats):
            start = time.process_time()
            size = len(model.encode_block(data))
            times.append(time.process_time() - start)
    return size, min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--level", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    data = options.file.read_bytes()
    if options.file.suffix == ".xz":
        data = lzma.decompress(data)
    ContextMix(level=options.level, memory_mb=1, mode="general").encode_block(b"compile")
    whole = recipe("general", options.level)
    size, seconds = measure(data, options.level, whole, options.repeats)
    table = Table("taken out", "bytes more", "percent", "time saved, percent")
    rows: dict[str, tuple[int, float]] = {}
    for name, made in variants(whole):
        other, other_seconds = measure(data, options.level, made, options.repeats)
        rows[name] = other - size, 100 * (seconds - other_seconds) / seconds
        table.add_row(name, f"{other - size:,}", f"{100 * (other - size) / size:.2f}", f"{rows[name][1]:.0f}")
    console = Console(width=110)
    console.print(f"level {options.level}: {size:,} bytes of {len(data):,}, {len(data) / seconds / 1e6:.2f} MB/s")
    console.print(table)
    print(json.dumps({"level": options.level, "bytes": size, "of": len(data), "seconds": seconds, "without": rows}))


if __name__ == "__main__":
    main()
