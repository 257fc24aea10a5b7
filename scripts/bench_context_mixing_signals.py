"""How small does ``cm`` make sound and pictures, beside the codecs made for them?

Run:  python scripts/bench_context_mixing_signals.py [--data FOLDER] [--files N] [--chunks N]

Whole files: 16-bit speech against FLAC -8, gray images at their own width against WebP (quality 100, method 6) and PNG;
sizes of the codecs are whole files, those of ``cm`` ideal code lengths. Chunks: 2048 bytes each by itself. Everything
once told what the bytes are, and once with ``mode=auto``. Prints a table and one last line of JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from PIL import Image
from rich.console import Console
from rich.table import Table

import compgen
from compgen.predictors.contextmix import ContextMix

CHUNK = 2048
Pixels = npt.NDArray[np.uint8]


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """At most so many, evenly from first to last."""
    return [paths[i * len(paths) // count] for i in range(count)] if 0 < count < len(paths) else list(paths)


def gray(path: Path) -> Pixels:
    """The mean of red, green and blue."""
    return np.asarray(Image.open(path).convert("RGB"), dtype=np.float64).mean(axis=2).astype(np.uint8)


def length(write: Callable[[io.BytesIO], object]) -> int:
    file = io.BytesIO()
    write(file)
    return len(file.getvalue())


def bytes_of(model: ContextMix, data: bytes) -> float:
    return float(model.code_lengths([data])[0].sum()) / 8


class Totals(dict[str, float]):
    """Bytes by name, and seconds of process time."""

    def add(self, name: str, size: float) -> None:
        """Count more bytes under a name."""
        self[name] = self.get(name, 0) + size

    def measure(self, name: str, model: ContextMix, data: bytes) -> None:
        """Count the code of data, and its time, under a name."""
        start = time.process_time()
        self.add(name, bytes_of(model, data))
        self.add(f"{name}, seconds", time.process_time() - start)


def whole_speech(paths: Sequence[Path]) -> Totals:
    totals = Totals()
    for path in paths:
        samples, rate = soundfile.read(path, dtype="int16")
        data = samples.astype("<i2").tobytes()
        totals.add("raw", len(data))

        def write(file: io.BytesIO, samples: Any = samples, rate: int = rate) -> None:
            soundfile.write(file, samples, rate, format="FLAC", subtype="PCM_16", compression_level=1.0)

        totals.add("FLAC -8", length(write))
        totals.measure("cm:mode=audio,bits=16", ContextMix(mode="audio", bits=16), data)
        totals.measure("cm", ContextMix(), data)
    return totals


def whole_images(paths: Sequence[Path]) -> Totals:
    totals = Totals()
    for path in paths:
        pixels = gray(path)
        image = Image.fromarray(pixels)
        totals.add("raw", pixels.size)
        totals.add("PNG", length(lambda file, image=image: image.save(file, "PNG", optimize=True)))  # type: ignore[misc]
        rgb = image.convert("RGB")
        totals.add(
            "WebP",
            length(lambda file, rgb=rgb: rgb.save(file, "WEBP", lossless=True, quality=100, method=6)),  # type: ignore[misc]
        )
        height, width = pixels.shape
        totals.measure("cm:mode=image,width=W", ContextMix(mode="image", width=width), pixels.tobytes())
        totals.measure("cm", ContextMix(), b"P5\n%d %d\n255\n" % (width, height) + pixels.tobytes())
    return totals


def tiles(paths: Sequence[Path]) -> Iterator[bytes]:
    """32 rows of 64 pixels."""
    for pixels in map(gray, paths):
        for y in range(0, pixels.shape[0] - 31, 32):
            yield from (pixels[y : y + 32, x : x + 64].tobytes() for x in range(0, pixels.shape[1] - 63, 64))


def speech(paths: Sequence[Path]) -> Iterator[bytes]:
    """The upper eight bits of 16-bit samples, plus 128."""
    for path in paths:
        samples, _ = soundfile.read(path, dtype="int16")
        data = ((samples >> 8) + 128).astype(np.uint8).tobytes()
        yield from (data[i : i + CHUNK] for i in range(0, len(data) - CHUNK + 1, CHUNK))


def chunked(chunks: Iterator[bytes], count: int, told: ContextMix) -> Totals:
    totals = Totals()
    for _, chunk in zip(range(count), chunks, strict=False):
        totals.add("raw", CHUNK)
        totals.measure(told.spec, told, chunk)
        totals.measure("cm", ContextMix(), chunk)
    return totals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("COMPGEN_DATA", "../shared/data")))
    parser.add_argument("--files", type=int, default=12, help="of each kind; 0: all")
    parser.add_argument("--chunks", type=int, default=1500)
    options = parser.parse_args()
    sounds, images = sorted((options.data / "audio").glob("*.flac")), sorted((options.data / "image").glob("*.JPEG"))
    for model in (ContextMix(), ContextMix(mode="image"), ContextMix(mode="audio", bits=16)):
        model.encode_block(bytes(200))  # compiles
    results = {
        "16-bit speech": whole_speech(spread(sounds, options.files)),
        "gray images": whole_images(spread(images, options.files)),
        "tiles of 2048 bytes": chunked(tiles(images), options.chunks, ContextMix(mode="image")),
        "8-bit speech, 2048 bytes": chunked(speech(sounds), options.chunks, ContextMix(mode="audio")),
    }
    for title, totals in results.items():
        table = Table(title, "bytes", "rate, percent", "us a byte")
        for name, size in totals.items():
            if not name.endswith("seconds"):
                seconds = totals.get(f"{name}, seconds", float("nan"))
                row = f"{size:,.0f}", f"{100 * size / totals['raw']:.2f}", f"{seconds / totals['raw'] * 1e6:.2f}"
                table.add_row(name, *row)
        Console(width=100).print(table)
    print(json.dumps({"compgen": compgen.__version__, "files": options.files, "results": results}))


if __name__ == "__main__":
    main()
