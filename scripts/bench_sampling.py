"""How fast are the code lengths of all 256 continuations, and how good are the predictions they make?

Run:  python scripts/bench_sampling.py [--data FOLDER] [--quality all|fast|none] [--jobs N]

Speed compares each codec with the naive loop over 256 calls in one run, taking turns, and gives medians. Quality is the
teacher-forced bits/byte of the first 2048 bytes of two texts. Prints a table and one last line of JSON.

Notes. gzip, zlib and PNG are flat in the context, as their kernel keeps the parse. LZMA2 is brute force with the
dictionary cut to the input: the naive call's time goes into allocating 64 MB.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import os
import platform
import statistics
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

import compgen

#: Too slow for 2048 x 256 calls in a few minutes.
SLOW = ("brotli", "jxl", "webp")
BRUTE_FORCE = ("lzma2", "bz2", "zstd", "brotli")


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of one call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def step_time(spec: str, context: bytes, following: bytes) -> float:
    """Median time of one step, lengths and push."""
    state = compgen.compressor(spec).continuations(context)
    state.lengths()
    times = []
    for byte in following:
        start = time.perf_counter()
        state.lengths()
        state.push(byte)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def naive(call: Callable[[bytes], object], context: bytes, count: int = 256) -> float:
    """Time of ``count`` of the 256 calls on context + byte, scaled to 256."""
    start = time.perf_counter()
    for byte in range(count):
        call(context + bytes((byte,)))
    return (time.perf_counter() - start) * 256 / count


def flac_naive(data: bytes) -> int:
    samples = (np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8
    file = io.BytesIO()
    soundfile.write(file, samples, 16000, format="FLAC", subtype="PCM_S8")
    return len(file.getvalue())


def compare(
    rows: dict[str, float], name: str, ours: Callable[[], float], theirs: Callable[[], float], rounds: int
) -> None:
    """Both in turn; notes milliseconds a step and the ratio of medians."""
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    rows[f"{name}_ms"], rows[f"{name}_naive_ms"], rows[f"{name}_speedup"] = mine * 1e3, other * 1e3, other / mine


def speed(text: bytes, picture: bytes, speech: bytes) -> dict[str, float]:
    rows: dict[str, float] = {}
    for kib in (2, 32):
        context, following = text[: kib << 10], text[kib << 10 :][:100]
        compare(
            rows,
            f"gzip_{kib}k",
            lambda c=context, f=following: step_time("gzip", c, f),
            lambda c=context: naive(lambda data: zlib.compress(data, 9), c),
            5,
        )
    rows["gzip_32k_over_2k"] = rows["gzip_32k_ms"] / rows["gzip_2k_ms"]
    context, following = text[:2048], text[2048:2058]
    compare(
        rows,
        "lzma2_2k",
        lambda: step_time("lzma2", context, following),
        lambda: naive(lambda data: lzma.compress(data, preset=9), context, 32),
        3,
    )
    png = compgen.compressor("png")
    compare(
        rows,
        "png_2k",
        lambda: step_time("png", picture[:2016], picture[2016:]),
        lambda: naive(png.compress, picture[:2016]),
        5,
    )
    compare(
        rows,
        "flac_2k",
        lambda: step_time("flac", speech[:2048], speech[2048:2068]),
        lambda: naive(flac_naive, speech[:2048]),
        5,
    )
    for spec in BRUTE_FORCE:
        rows[f"{spec}_two_jobs_speedup"] = two_jobs(spec, context, text[2048:2068])
    return rows


def two_jobs(spec: str, context: bytes, following: bytes) -> float:
    def on(jobs: int) -> float:
        with compgen.jobs(jobs):
            return step_time(spec, context, following)

    pairs = [(on(1), on(2)) for _ in range(5)]
    one, two = (statistics.median(column) for column in zip(*pairs, strict=True))
    return one / two


def quality(texts: dict[str, bytes], specs: list[str]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for spec in specs:
        row: dict[str, object] = {"spec": spec}
        for name, data in texts.items():
            start = time.perf_counter()
            predictor = compgen.predictor(spec)
            row[f"{name}_bits_per_byte"] = float(predictor.code_lengths([data])[0].sum()) / len(data)
            codec = getattr(predictor, "compressor", None)
            if codec is not None:
                row[f"{name}_own_bits_per_byte"] = codec.code_length(data) / len(data)
            print(f"{spec} {name} {time.perf_counter() - start:.1f} s", file=sys.stderr)
        rows.append(row)
    return rows


def quality_specs(which: str) -> list[str]:
    from compgen import registry

    specs = ["gzip", "gzip:whole_bytes=true"]
    for name in registry.entries(registry.COMPRESSORS):
        if name == "gzip" or (which == "fast" and name in SLOW):
            continue
        try:
            compgen.compressor(name).code_length(b"probe")
        except compgen.MissingExtraError as missing:
            print(missing, file=sys.stderr)
        else:
            specs.append(name)
    blends = ["blend(gzip)", *(f"blend(gzip,{model})" for model in ("order2", "order4", "order6", "cm"))]
    return [*specs, "order2", "order4", "order6", "cm", *blends]


def load(folder: Path) -> tuple[dict[str, bytes], bytes, bytes]:
    from PIL import Image

    texts = {
        name: lzma.decompress((folder / "text" / f"{file}.xz").read_bytes())[:200_000]
        for name, file in (("python", "python_thealgorithms"), ("novels", "novels12"))
    }
    image = Image.open(sorted((folder / "image").glob("*.JPEG"))[0]).convert("L")
    tile = np.asarray(image)[:32, :64].tobytes()
    samples, _ = soundfile.read(sorted((folder / "audio").glob("*.flac"))[0], dtype="int16")
    return texts, tile, ((samples >> 8) + 128).astype(np.uint8).tobytes()


def show(result: dict[str, object]) -> None:
    console = Console(width=100)
    figures = result["speed"]
    assert isinstance(figures, dict)
    table = Table("figure", "value", title="All 256 continuations, one core")
    for name, value in figures.items():
        table.add_row(name, f"{value:.3g}")
    console.print(table)
    rows = result["quality"]
    assert isinstance(rows, list)
    if rows:
        columns = [key for key in rows[0] if key != "spec"]
        table = Table("predictor", *columns, title="Teacher-forced bits/byte, first 2048 bytes")
        for row in rows:
            table.add_row(row["spec"], *(f"{row[key]:.3f}" if key in row else "" for key in columns))
        console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("COMPGEN_DATA", "data")))
    parser.add_argument("--quality", choices=("all", "fast", "none"), default="fast")
    parser.add_argument("--jobs", type=int, default=1, help="workers for the quality part")
    options = parser.parse_args()
    texts, tile, speech = load(options.data)
    result: dict[str, object] = {"benchmark": "sampling", "python": platform.python_version()}
    result["zlib"] = zlib.ZLIB_RUNTIME_VERSION
    result["speed"] = speed(texts["python"], tile, speech)
    with compgen.jobs(options.jobs):
        specs = [] if options.quality == "none" else quality_specs(options.quality)
        result["quality"] = quality({name: data[:2048] for name, data in texts.items()}, specs)
    show(result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
