"""What all tests share: deterministic synthetic data of each kind, and real data where COMPGEN_DATA names it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

_WORDS = b"the of a code length predicts what follows and in to is bits each symbol costs model".split()


def synthetic_text(length: int, seed: int = 0) -> bytes:
    """Words with the frequencies of Zipf's law."""
    generator = np.random.default_rng(seed)
    weights = 1 / np.arange(1, len(_WORDS) + 1)
    chosen = generator.choice(len(_WORDS), size=length // 2 + 1, p=weights / weights.sum())
    return b" ".join(_WORDS[i] for i in chosen)[:length]


def synthetic_image(rows: int, width: int = 64, seed: int = 0) -> bytes:
    """Gray pixels: slopes, an edge and some noise."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :width]
    values = 90 + 1.5 * x + 40 * np.sin(y / 9) + 50 * (x + y > width) + generator.normal(0, 3, (rows, width))
    return values.clip(0, 255).astype(np.uint8).tobytes()


def synthetic_speech(samples: int, bits: int = 8, seed: int = 0) -> bytes:
    """Samples of a decaying oscillation driven by noise: unsigned 8-bit, or signed 16-bit little-endian."""
    generator = np.random.default_rng(seed)
    values = np.zeros(samples + 2)
    for i, noise in enumerate(generator.normal(0, 400, samples)):
        values[i + 2] = 1.8 * values[i + 1] - 0.9 * values[i] + noise
    sixteen = values[2:].clip(-32768, 32767).astype("<i2")
    return sixteen.tobytes() if bits == 16 else ((sixteen >> 8) + 128).astype(np.uint8).tobytes()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, with ``text/``, ``image/`` and ``audio/``."""
    folder = os.environ.get("COMPGEN_DATA")
    if not folder:
        pytest.skip("needs real data: set COMPGEN_DATA to a folder with text/, image/ and audio/")
    return Path(folder)


@pytest.fixture(scope="session")
def real_chunks(real_data: Path) -> dict[str, list[bytes]]:
    """Chunks of 2048 bytes: ``text``, ``image`` (32 rows of 64 gray pixels), ``audio`` (8 bits), ``audio16``."""
    import lzma

    import soundfile
    from PIL import Image

    with lzma.open(next(iter(sorted(real_data.glob("text/enwik8*.xz"))))) as file:
        text = file.read(200 * 2048)
    tiles = []
    for path in sorted(real_data.glob("image/*.JPEG"))[:3]:
        gray = np.asarray(Image.open(path).convert("RGB")).mean(2).astype(np.uint8)
        tiles += [
            gray[y : y + 32, x : x + 64].tobytes()
            for y in range(0, gray.shape[0] - 31, 32)
            for x in range(0, gray.shape[1] - 63, 64)
        ]
    samples, _ = soundfile.read(min(real_data.glob("audio/*.flac")), dtype="int16")
    streams = {
        "text": text,
        "image": b"".join(tiles),
        "audio": ((samples >> 8) + 128).astype(np.uint8).tobytes(),
        "audio16": samples.astype("<i2").tobytes(),
    }
    return {
        kind: [data[start : start + 2048] for start in range(0, len(data) - 2047, 2048)]
        for kind, data in streams.items()
    }
