"""How small and how fast is ``cm``, beside the programs of its kind that are installed?

Run:  python scripts/bench_context_mixing.py [--data FOLDER] [--only A,B,C,chunks] [--chunks N] [--repeats N]

A and B are the first 1,000,000 and all 3,002,913 bytes of the enwik8 prefix in the folder, C the first 10,000,000 of
English Wikipedia as plain text. Every code is decoded and compared. Sizes of programs are whole files. Chunks are
2048 bytes, each coded by itself; their rates are ideal code lengths. Times are process times on one core (programs:
with their children), the median of the repeats, compilation excluded. Prints tables and one last line of JSON.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image
from rich.console import Console
from rich.table import Table

import compgen
from compgen.predictors.contextmix import ContextMix

#: Name, how to pack (into PACKED), how to unpack (to UNPACKED): IN is the file.
PROGRAMS = {
    "xz -9e": ("xz -9e -T1 -k -c IN > PACKED", "xz -d -c PACKED > UNPACKED"),
    "zstd --ultra -22": ("zstd -q --ultra -22 --long=27 IN -o PACKED", "zstd -q -d --long=27 PACKED -o UNPACKED"),
    "brotli -q 11": (
        "brotli -q 11 --large_window=24 -c IN > PACKED",
        "brotli -d --large_window=24 -c PACKED > UNPACKED",
    ),
    "bzip3 -b 64": ("bzip3 -b 64 -c IN > PACKED", "bzip3 -d -b 64 -c PACKED > UNPACKED"),
    "7z PPMd": ("7z a -m0=PPMd:o=16:mem=256m PACKED.7z IN > LOG && mv PACKED.7z PACKED", "7z e -so PACKED > UNPACKED"),
    "zpaq -m4": ("zpaq a PACKED.zpaq IN -m4 -t1 > LOG && mv PACKED.zpaq PACKED", ""),
    "zpaq -m5": ("zpaq a PACKED.zpaq IN -m5 -t1 > LOG && mv PACKED.zpaq PACKED", ""),
}
CHUNK = 2048


def timed(work: Callable[[], object]) -> tuple[object, float]:
    """Result and process time, children's included."""
    start = os.times()
    result = work()
    end = os.times()
    return result, max(sum(end[:4]) - sum(start[:4]), 0.01)  # which is the clock's step


def ours(data: bytes, model: ContextMix, repeats: int) -> tuple[int, float, float]:
    """Bytes and median seconds of coding and decoding."""
    packing, unpacking, code = [], [], b""
    for _ in range(repeats):
        code, seconds = timed(lambda: model.encode_block(data))  # type: ignore[assignment]
        packing.append(seconds)
        back, seconds = timed(lambda code=code: model.decode_block(code, len(data)))
        unpacking.append(seconds)
        if back != data:
            raise SystemExit(f"{model.spec} does not give the data back")
    return len(code), statistics.median(packing), statistics.median(unpacking)


def theirs(data: bytes, pack: str, unpack: str) -> tuple[int, float, float]:
    """Bytes and seconds of packing and unpacking (nan if there is no simple command for it)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "IN").write_bytes(data)
        run = {"shell": True, "cwd": folder, "check": True, "stderr": subprocess.DEVNULL}
        _, packing = timed(lambda: subprocess.run(pack, **run))  # type: ignore[call-overload]
        unpacking = float("nan")
        if unpack:
            _, unpacking = timed(lambda: subprocess.run(unpack, **run))  # type: ignore[call-overload]
        return (folder / "PACKED").stat().st_size, packing, unpacking


def whole_files(folder: Path, names: str, repeats: int) -> dict[str, dict[str, tuple[int, float, float]]]:
    prefix = lzma.decompress((folder / "text/enwik8_0_3002913.xz").read_bytes())
    data = {"A": prefix[:1_000_000], "B": prefix}
    if "C" in names:
        with lzma.open(folder / "text/wiki_en_2014_plain_100MB.xz") as file:
            data["C"] = file.read(10_000_000)
    results: dict[str, dict[str, tuple[int, float, float]]] = {}
    for name in filter(data.__contains__, names):
        rows = results[name] = {}
        for level in (1, 2, 3):
            model = ContextMix(level=level)
            rows[model.spec] = ours(data[name], model, repeats)
        for program, (pack, unpack) in PROGRAMS.items():
            if shutil.which(program.split()[0]):
                rows[program] = theirs(data[name], pack, unpack)
        table = Table(name, "bytes", "rate, percent", "pack, MB/s", "unpack, MB/s")
        for row, (size, packing, unpacking) in rows.items():
            total = len(data[name])
            speeds = (f"{total / packing / 1e6:.2f}", f"{total / unpacking / 1e6:.2f}")
            table.add_row(row, f"{size:,}", f"{100 * size / total:.2f}", *speeds)
        Console(width=110).print(table)
    return results


def tiles(folder: Path, count: int) -> list[bytes]:
    """Tiles of 32 rows of 64 gray pixels, in scan order."""
    chunks: list[bytes] = []
    for path in sorted((folder / "image").glob("*.JPEG")):
        gray = np.asarray(Image.open(path).convert("RGB"), dtype=np.float64).mean(axis=2).astype(np.uint8)
        for y in range(0, gray.shape[0] - 31, 32):
            chunks += [gray[y : y + 32, x : x + 64].tobytes() for x in range(0, gray.shape[1] - 63, 64)]
        if len(chunks) >= count:
            break
    return chunks[:count]


def speech(folder: Path, count: int) -> list[bytes]:
    """The upper eight bits of 16-bit samples, plus 128."""
    chunks: list[bytes] = []
    for path in sorted((folder / "audio").glob("*.flac")):
        samples, _ = soundfile.read(path, dtype="int16")
        data = ((samples >> 8) + 128).astype(np.uint8).tobytes()
        chunks += [data[i : i + CHUNK] for i in range(0, len(data) - CHUNK + 1, CHUNK)]
        if len(chunks) >= count:
            break
    return chunks[:count]


def independent_chunks(folder: Path, count: int) -> dict[str, dict[str, float]]:
    prefix = lzma.decompress((folder / "text/enwik8_0_3002913.xz").read_bytes())
    text = [prefix[i : i + CHUNK] for i in range(0, len(prefix) - CHUNK + 1, CHUNK)][:count]
    results = {}
    table = Table("chunks of 2048 bytes", "rate, percent", "chunks a second")
    for name, chunks, model in (
        ("text", text, ContextMix()),
        ("images", tiles(folder, count), ContextMix(mode="image")),
        ("audio, 8 bits", speech(folder, count), ContextMix(mode="audio")),
    ):
        lengths, seconds = timed(lambda chunks=chunks, model=model: model.code_lengths(chunks))
        bits = sum(float(x.sum()) for x in lengths)  # type: ignore[attr-defined]
        results[name] = {"percent": 100 * bits / 8 / CHUNK / len(chunks), "chunks_a_second": len(chunks) / seconds}
        table.add_row(name, f"{results[name]['percent']:.2f}", f"{results[name]['chunks_a_second']:.0f}")
    Console(width=110).print(table)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("COMPGEN_DATA", "../shared/data")))
    parser.add_argument("--only", default="A,B,C,chunks")
    parser.add_argument("--chunks", type=int, default=1500)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    parts = options.only.split(",")
    start = time.process_time()
    ContextMix(memory_mb=1).encode_block(b"compile")
    compiling = time.process_time() - start
    report = {
        "compgen": compgen.__version__,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "compile_seconds": compiling,
        "files": whole_files(options.data, "".join(p for p in parts if len(p) == 1), options.repeats),
        "chunks": independent_chunks(options.data, options.chunks) if "chunks" in parts else {},
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
