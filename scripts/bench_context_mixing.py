"""How small and how fast is ``cm``, beside the programs of its kind that are installed?

Run:  python scripts/bench_context_mixing.py [--data FOLDER] [--only A,B,C,chunks] [--rounds N] [--plot FILE]

A and B are the first 1,000,000 and all 3,002,913 bytes of the enwik8 prefix in the folder, C the first 10,000,000 of
English Wikipedia as plain text. Every code is decoded and compared. Sizes of programs are whole files; those of cm are
its code alone. Contestants take turns; times are process times on one core (programs: with their children), the
shortest of the rounds, compilation excluded.

Chunks are 2048 bytes, each coded by itself; their rates are ideal code lengths, in percent. Primed models have learnt
from data of the same kind that shares nothing with the chunks: text from the half of the prefix that a chunk is not in,
and before that from Wikipedia without the articles of the prefix; images from other images, speech from other speakers.

``--plot FILE`` draws rates against speeds, for B if it was measured; ``--replot JSON`` draws an earlier run's last line
without measuring. Prints tables and one last line of JSON.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile
from PIL import Image
from rich.console import Console
from rich.table import Table

import compgen
from compgen.predictors.contextmix import ContextMix

T = TypeVar("T")
CHUNK = 2048
CONSOLE = Console(width=110)

# --- whole files ----------------------------------------------------------------------------------------------------


@dataclass
class Score:
    """What a contestant made of a file: bytes, and the shortest seconds so far."""

    size: int = 0
    pack_seconds: float = float("inf")
    unpack_seconds: float = float("inf")

    def add(self, size: int, pack_seconds: float, unpack_seconds: float) -> None:
        """One more round."""
        self.size = size
        self.pack_seconds = min(self.pack_seconds, pack_seconds)
        self.unpack_seconds = min(self.unpack_seconds, unpack_seconds)


@dataclass(frozen=True)
class Program:
    """A program that packs the file IN to ``packed`` and unpacks that to OUT."""

    name: str
    pack: str
    unpack: str
    packed: str = "PACKED"

    @property
    def command(self) -> str:
        """What must be installed."""
        return self.name.split()[0]

    def run(self, data: bytes) -> tuple[int, float, float]:
        """Bytes, and seconds of packing and unpacking."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "IN").write_bytes(data)
            packing, unpacking = (timed(partial(_shell, c, folder))[1] for c in (self.pack, self.unpack))
            if (folder / "OUT").read_bytes() != data:
                raise SystemExit(f"{self.name} does not give the data back")
            return (folder / self.packed).stat().st_size, packing, unpacking


def _shell(command: str, folder: Path) -> None:
    subprocess.run(command + " 2> LOG", shell=True, cwd=folder, check=True)


def _zpaq(level: int) -> Program:
    return Program(
        f"zpaq -m{level}",
        f"zpaq a PACKED.zpaq IN -m{level} -t1 > OUTPUT",
        "zpaq x PACKED.zpaq IN -to OUT -t1 > OUTPUT",
        "PACKED.zpaq",
    )


PROGRAMS = (
    Program("zstd --ultra -22", "zstd -q -T1 --ultra -22 --long=27 IN -o PACKED", "zstd -q -d --long=27 PACKED -o OUT"),
    Program("xz -9e", "xz -9e -T1 -k -c IN > PACKED", "xz -d -c PACKED > OUT"),
    Program(
        "brotli -q 11",
        "brotli -q 11 --large_window=24 -c IN > PACKED",
        "brotli -d --large_window=24 -c PACKED > OUT",
    ),
    Program("bzip3 -b 64", "bzip3 -e -b 64 -c IN > PACKED", "bzip3 -d -c PACKED > OUT"),
    Program(
        "7z PPMd",
        "7z a -mmt=1 -m0=PPMd:o=16:mem=256m PACKED.7z IN > OUTPUT",
        "7z e -so PACKED.7z > OUT",
        "PACKED.7z",
    ),
    _zpaq(4),
    _zpaq(5),
    Program("mcm -m11", "mcm -m11 IN PACKED > OUTPUT", "mcm d PACKED OUT > OUTPUT"),
)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Result and process time, children's included."""
    start = os.times()
    result = work()
    end = os.times()
    return result, max(sum(end[:4]) - sum(start[:4]), 0.01)  # which is the clock's step


def ours(model: ContextMix, data: bytes) -> tuple[int, float, float]:
    """Bytes, and seconds of coding and decoding."""
    code, packing = timed(lambda: model.encode_block(data))
    back, unpacking = timed(lambda: model.decode_block(code, len(data)))
    if back != data:
        raise SystemExit(f"{model.spec} does not give the data back")
    return len(code), packing, unpacking


def installed() -> list[Program]:
    """The programs that are there; says which are not."""
    missing = [program.name for program in PROGRAMS if not shutil.which(program.command)]
    if missing:
        print(f"not installed, so left out: {', '.join(missing)}", file=sys.stderr)
    return [program for program in PROGRAMS if program.name not in missing]


def whole_file(data: bytes, rounds: int) -> dict[str, Score]:
    """All contestants on one file, taking turns."""
    runs: dict[str, Callable[[bytes], tuple[int, float, float]]] = {}
    for level in (1, 2, 3):
        model = ContextMix(level=level, mode="general")
        runs[f"cm:level={level}"] = partial(ours, model)
    runs |= {program.name: program.run for program in installed()}
    scores = {name: Score() for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            scores[name].add(*run(data))
    return scores


def show_file(name: str, length: int, scores: dict[str, Score]) -> None:
    table = Table(name, "bytes", "rate, percent", "pack, MB/s", "unpack, MB/s")
    for row, score in sorted(scores.items(), key=lambda item: item[1].size):
        speeds = (f"{length / seconds / 1e6:.2f}" for seconds in (score.pack_seconds, score.unpack_seconds))
        table.add_row(row, f"{score.size:,}", f"{100 * score.size / length:.2f}", *speeds)
    CONSOLE.print(table)


# --- chunks ---------------------------------------------------------------------------------------------------------


@dataclass
class Part:
    """Chunks, and what a model may learn from before it meets them; the best comes last."""

    chunks: list[bytes]
    past: bytes


@dataclass
class Kind:
    """Data of one kind; ``parts`` are measured together."""

    name: str
    model: ContextMix
    parts: list[Part] = field(default_factory=list)


def cut(data: bytes) -> list[bytes]:
    return [data[i : i + CHUNK] for i in range(0, len(data) - CHUNK + 1, CHUNK)]


def _halves(count: int) -> tuple[int, int]:
    return count // 2, count - count // 2


def text_kind(folder: Path, count: int) -> Kind:
    """Each half of the prefix with the other half as its past, and Wikipedia before that."""
    prefix = lzma.decompress((folder / "text/enwik8_0_3002913.xz").read_bytes())
    chunks = cut(prefix)
    middle = len(chunks) // 2
    others = _other_articles(folder, prefix)
    sizes = _halves(min(count, len(chunks)))
    halves = chunks[:middle], chunks[middle:]
    parts = [Part(halves[i][: sizes[i]], others + b"".join(halves[1 - i])) for i in (0, 1)]
    return Kind("text", ContextMix(mode="general"), parts)


def _other_articles(folder: Path, prefix: bytes) -> bytes:
    """Wikipedia as plain text, without articles whose titles occur anywhere in the prefix."""
    with lzma.open(folder / "text/wiki_en_2014_plain_100MB.xz") as file:
        articles = re.split(rb"(?=<doc )", file.read(8_000_000))
    titles = (re.search(rb'^<doc [^\n]*title="(.*?)"', article) for article in articles)
    return b"".join(
        article for article, title in zip(articles, titles, strict=True) if title and title[1] not in prefix
    )


def image_kind(folder: Path, count: int) -> Kind:
    """Tiles of the first images, in scan order; the past is tiles of others, shuffled."""
    return Kind("images", ContextMix(mode="image"), [_split(sorted((folder / "image").glob("*.JPEG")), _tiles, count)])


def speech_kind(folder: Path, count: int) -> Kind:
    """Speech of the first speakers; the past is chunks of others, shuffled."""
    return Kind(
        "speech, 8 bits",
        ContextMix(mode="audio"),
        [_split(sorted((folder / "audio").glob("*.flac")), _samples, count)],
    )


def _split(paths: list[Path], read: Callable[[Path], list[bytes]], count: int) -> Part:
    """Chunks of the first files up to a number; the rest of the last of these goes unused."""
    chunks: list[bytes] = []
    rest = list(paths)
    while rest and len(chunks) < count:
        chunks += read(rest.pop(0))
    others = [chunk for path in rest for chunk in read(path)]
    order = np.random.default_rng(0).permutation(len(others))
    return Part(chunks[:count], b"".join(others[i] for i in order[:4096]))


def _tiles(path: Path) -> list[bytes]:
    """Tiles of 32 rows of 64 gray pixels, in scan order."""
    gray = np.asarray(Image.open(path).convert("RGB"), dtype=np.float64).mean(axis=2).astype(np.uint8)
    height, width = gray.shape
    return [gray[y : y + 32, x : x + 64].tobytes() for y in range(0, height - 31, 32) for x in range(0, width - 63, 64)]


def _samples(path: Path) -> list[bytes]:
    """The upper eight bits of 16-bit samples, plus 128."""
    samples, _ = soundfile.read(path, dtype="int16")
    return cut(((samples >> 8) + 128).astype(np.uint8).tobytes())


def measure_chunks(kind: Kind, past_bytes: int) -> dict[str, float]:
    """Rate and speed with so much to learn from before."""
    bits = seconds = count = learning = 0.0
    with tempfile.TemporaryDirectory() as name:
        for i, part in enumerate(kind.parts):
            model = kind.model
            if past_bytes:
                (Path(name) / str(i)).write_bytes(part.past[-past_bytes:])
                model = ContextMix(mode=model.mode, prime=f"{name}/{i}")
            learning += timed(partial(model.code_lengths, part.chunks[:2]))[1]
            lengths, time_taken = timed(partial(model.code_lengths, part.chunks))
            bits += sum(float(x.sum()) for x in lengths)
            seconds += time_taken
            count += len(part.chunks)
    return {
        "percent": 100 * bits / 8 / CHUNK / count,
        "chunks_a_second": count / seconds,
        "chunks": count,
        "past_bytes": min(past_bytes, min(len(part.past) for part in kind.parts)),
        "learning_seconds": learning / len(kind.parts),
    }


def measure_kinds(folder: Path, count: int, pasts: list[int]) -> dict[str, list[dict[str, float]]]:
    table = Table("chunks of 2048 bytes", "learnt before, bytes", "rate, percent", "chunks a second", "learning, s")
    results: dict[str, list[dict[str, float]]] = {}
    for make in (text_kind, image_kind, speech_kind):
        kind = make(folder, count)
        results[kind.name] = rows = [measure_chunks(kind, past) for past in pasts]
        for row in rows:
            table.add_row(
                f"{kind.name} ({row['chunks']:.0f})",
                f"{row['past_bytes']:,}",
                f"{row['percent']:.2f}",
                f"{row['chunks_a_second']:.0f}",
                f"{row['learning_seconds']:.1f}" if row["past_bytes"] else "",
            )
    CONSOLE.print(table)
    return results


# --- picture --------------------------------------------------------------------------------------------------------

OURS, THEIRS, TEXT, FAINT = "#0b6e99", "#8a8f98", "#2b2f36", "#e4e6ea"
#: Where labels go, in points to the right and up of a point, and how they are aligned; (8, 0, "left") unless said.
PLACES = {
    "cm:level=3": (0, 11, "center"),
    "cm:level=2": (9, 4, "left"),
    "cm:level=1": (9, 4, "left"),
    "zpaq -m5": (0, -13, "center"),
    "zpaq -m4": (-8, 0, "right"),
    "7z PPMd": (-4, -13, "center"),
    "bzip3 -b 64": (5, 10, "left"),
    "xz -9e": (-8, 0, "right"),
    "zstd --ultra -22": (0, -13, "center"),
}


def draw(report: dict[str, Any], path: Path) -> None:
    """Rates against speeds of packing and unpacking, with the front of those that none beats in both."""
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("--plot needs matplotlib: install it with  pip install 'compgen[plots]'") from None
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    name = "B" if "B" in report["files"] else sorted(report["files"])[-1]
    file = report["files"][name]
    style: Any = {"font.family": "DejaVu Sans", "font.size": 9.5, "svg.fonttype": "path", "text.color": TEXT}
    with plt.rc_context(style):
        figure, both = plt.subplots(1, 2, figsize=(9.4, 4.3), sharey=True, layout="constrained")
        for axes, what, key in zip(both, ("packing", "unpacking"), ("pack_seconds", "unpack_seconds"), strict=True):
            points = {
                row: (file["bytes"] / score[key] / 1e6, 100 * score["size"] / file["bytes"])
                for row, score in file["scores"].items()
            }
            _panel(axes, points, f"{what}, MB/s")
        both[0].set_ylabel("size, percent of the original", color=TEXT)
        both[0].invert_yaxis()
        title = f"cm beside other programs: {file['bytes']:,} bytes of English Wikipedia as XML, one core"
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=10.5)
        figure.savefig(path, dpi=130)


def _panel(axes: Any, points: dict[str, tuple[float, float]], label: str) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.set_xlabel(label, color=TEXT)
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.tick_params(length=0, which="both", colors=TEXT)
    front = _front(list(points.values()))
    axes.plot(*zip(*front, strict=True), color=FAINT, linewidth=7, solid_capstyle="round", zorder=1)
    levels = [points[row] for row in sorted(points) if row.startswith("cm")]
    axes.plot(*zip(*levels, strict=True), color=OURS, linewidth=1.6, zorder=2)
    for row, (speed, rate) in points.items():
        mine = row.startswith("cm")
        axes.plot(speed, rate, "o", color=OURS if mine else THEIRS, markersize=7 if mine else 6, zorder=3)
        right, up, side = PLACES.get(row, (8, 0, "left"))
        axes.annotate(
            row.replace(":", " ").replace("=", " "),
            (speed, rate),
            xytext=(right, up),
            textcoords="offset points",
            ha=side,
            va="center",
            color=OURS if mine else TEXT,
            fontweight="bold" if mine else "normal",
            zorder=4,
        )
    axes.margins(x=0.14, y=0.1)


def _front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other beats in speed and in rate, from the fastest on."""
    front: list[tuple[float, float]] = []
    for point in sorted(points, reverse=True):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


# --- all of it ------------------------------------------------------------------------------------------------------


def load(folder: Path, name: str) -> bytes:
    """The data of a file by its letter."""
    if name == "C":
        with lzma.open(folder / "text/wiki_en_2014_plain_100MB.xz") as file:
            return file.read(10_000_000)
    prefix = lzma.decompress((folder / "text/enwik8_0_3002913.xz").read_bytes())
    return prefix[:1_000_000] if name == "A" else prefix


def measure(options: argparse.Namespace) -> dict[str, Any]:
    parts = options.only.split(",")
    if unknown := set(parts) - {"A", "B", "C", "chunks"}:
        raise SystemExit(f"--only knows A, B, C and chunks, not {', '.join(sorted(unknown))}")
    _, compiling = timed(lambda: ContextMix(memory_mb=1, mode="general").encode_block(b"compile"))
    files: dict[str, Any] = {}
    for name in filter(parts.__contains__, "ABC"):
        data = load(options.data, name)
        scores = whole_file(data, options.rounds)
        show_file(name, len(data), scores)
        files[name] = {"bytes": len(data), "scores": {row: vars(score) for row, score in scores.items()}}
    pasts = [0, *map(int, options.pasts.split(","))] if options.pasts else [0]
    return {
        "benchmark": "context_mixing",
        "compgen": compgen.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
        "compile_seconds": compiling,
        "files": files,
        "chunks": measure_kinds(options.data, options.chunks, pasts) if "chunks" in parts else {},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("COMPGEN_DATA", "../shared/data")))
    parser.add_argument("--only", default="A,B,C,chunks")
    parser.add_argument("--chunks", type=int, default=1500, help="of each kind, at most")
    parser.add_argument("--pasts", default="65536,1048576,8388608", help="bytes to learn from before chunks")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a PNG or SVG")
    parser.add_argument("--replot", type=Path, metavar="JSON", help="draw this report instead of measuring")
    options = parser.parse_args()
    report = json.loads(options.replot.read_text().splitlines()[-1]) if options.replot else measure(options)
    if options.plot and report["files"]:
        draw(report, options.plot)
    if not options.replot:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
