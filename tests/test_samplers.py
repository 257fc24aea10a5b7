"""The samplers: what they give the predictor, what they make of its answer, and what they say to unusable input."""

from __future__ import annotations

import io
import os
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile
from PIL import Image

import compgen
from compgen.bridge import CompressorPredictor
from compgen.datasets.images import read_gray
from compgen.datasets.recordings import read_mono
from compgen.fitting import fit_predictor as fit
from compgen.interfaces import Compressor, Decoding, FloatArray, Predictor, Session, Symbols

GREEDY = Decoding(greedy=True)


@dataclass(frozen=True)
class Repeat(Predictor):
    """Goes on with the last byte of the context, and remembers the contexts it was given."""

    name: ClassVar[str] = "test-repeat"
    seen: ClassVar[list[bytes]] = []

    def session(self, contexts: Sequence[Symbols]) -> Session:
        self.seen[:] = [bytes(bytearray(context)) for context in contexts]
        return _RepeatSession(np.array([context[-1] for context in self.seen]))


class _RepeatSession(Session):
    def __init__(self, last: Any) -> None:
        self.last = last

    def probabilities(self) -> FloatArray:
        rows = np.full((len(self.last), 256), 0.1 / 255)
        rows[np.arange(len(self.last)), self.last] = 0.9
        return rows

    def push(self, symbols: Symbols) -> None:
        assert np.array_equal(symbols, self.last)

    def fork(self) -> Session:
        return self


@dataclass(frozen=True)
class Geometric(Compressor):
    """A codec with the fields that samplers may set."""

    name: ClassVar[str] = "test-geometric"
    level: int = 1
    width: int | None = None
    bits: int = 8
    byteorder: str = "little"
    samplerate: int = 8000

    def compress(self, data: bytes) -> bytes:
        return zlib.compress(data, self.level)

    def decompress(self, data: bytes) -> bytes:
        return zlib.decompress(data)

    def code_length(self, data: bytes) -> float:
        return 8.0 * len(data)


@dataclass(frozen=True)
class Mixed(Repeat):
    """A predictor made of others."""

    parts: tuple[Predictor, ...]


def png(array: Any, **save: Any) -> bytes:
    file = io.BytesIO()
    (array if isinstance(array, Image.Image) else Image.fromarray(np.asarray(array))).save(file, "PNG", **save)
    return file.getvalue()


def wav(samples: Any, rate: int = 16000, kind: str = "WAV", subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.asarray(samples), rate, format=kind, subtype=subtype)
    return file.getvalue()


def opened(data: bytes) -> Any:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
TONE = (8000 * np.sin(np.arange(4000) / 7)).astype(np.int16)


# --- text and bytes


def test_text_continues_the_end_of_the_source() -> None:
    (rendering,) = compgen.sampler("text", context=3, length=5).sample(Repeat(), b"abcdef", decoding=GREEDY)
    assert Repeat.seen == [b"def"]
    assert (rendering.data, rendering.suffix, rendering.sampled) == (b"defffffff"[:8], ".txt", b"fffff")


@pytest.mark.parametrize(("size", "used"), [(5000, 1948), (1948, 1948), (10, 10)])
def test_default_context_is_the_papers(size: int, used: int) -> None:
    renderings = compgen.sampler("bytes").sample(Repeat(), b"x" * size, decoding=GREEDY, samples=2)
    assert Repeat.seen == [b"x" * used] * 2
    assert [len(r.sampled) for r in renderings] == [100, 100]
    assert {r.suffix for r in renderings} == {".bin"}


def test_text_is_valid_utf8_and_bytes_are_raw() -> None:
    source = "eé".encode() * 2 + b"\xff"
    (text,) = compgen.sampler("text", context=5, length=2).sample(Repeat(), source, decoding=GREEDY)
    assert text.data.decode("utf-8") == "eé\ufffd\ufffd\ufffd"
    assert text.sampled == b"\xff\xff"
    (raw,) = compgen.sampler("bytes", context=5, length=2).sample(Repeat(), source, decoding=GREEDY)
    assert raw.data == source[-5:] + b"\xff\xff"
    assert Repeat.seen == [source[-5:]]


# --- images


def test_rows_are_streams_of_their_own() -> None:
    (rendering,) = compgen.sampler("image").sample(Repeat(), png(RAMP), decoding=GREEDY)
    assert Repeat.seen == [row[:4].tobytes() for row in RAMP]
    assert rendering.sampled == np.repeat(RAMP[:, 3:4], 4, axis=1).tobytes()


def test_context_and_length_in_columns() -> None:
    sampler = compgen.sampler("image", context=2, length=3)
    (rendering,) = sampler.sample(Repeat(), png(RAMP), decoding=GREEDY, samples=2)
    assert Repeat.seen == [row[:2].tobytes() for row in RAMP] * 2
    assert rendering.sampled == np.repeat(RAMP[:, 1:2], 3, axis=1).tobytes() * 2


def test_above_gives_the_original_rows_above() -> None:
    compgen.sampler("image", mode="above").sample(Repeat(), png(RAMP), decoding=GREEDY)
    assert Repeat.seen == [RAMP[:row].tobytes() + RAMP[row, :4].tobytes() for row in range(6)]


def test_raster_is_one_stream_in_scan_order() -> None:
    sampler = compgen.sampler("image", mode="raster", context=2, length=3)
    (rendering,) = sampler.sample(Repeat(), png(RAMP), decoding=GREEDY)
    assert Repeat.seen == [RAMP[:2].tobytes()]
    assert rendering.sampled == bytes([RAMP[1, 7]]) * 24


@pytest.mark.parametrize("mode", ["rows", "above", "raster"])
def test_picture_shows_original_and_samples(mode: str) -> None:
    pixels = np.full((300, 260), 100, np.uint8)
    (rendering,) = compgen.sampler("image", mode=mode).sample(Repeat(), png(pixels), decoding=GREEDY, samples=2)
    assert rendering.suffix == ".png"
    picture = opened(rendering.data)
    assert picture.ndim == 3
    assert picture.shape[1] > 3 * 260
    gray = (picture == 100).all(axis=-1)
    assert gray.sum() == 3 * pixels.size
    colours = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    assert colours == {(100, 100, 100), (255, 255, 255), (190, 190, 190), (217, 95, 2)}


def test_small_pictures_are_enlarged() -> None:
    (rendering,) = compgen.sampler("image").sample(Repeat(), png(RAMP), decoding=GREEDY)
    assert opened(rendering.data).shape[1] > 512


def test_width() -> None:
    source = png(np.full((60, 600), 7, np.uint8))
    for parameters, width in [({}, 500), ({"width": 40}, 40), ({"width": 700}, 700)]:
        compgen.sampler("image", **parameters).sample(Repeat(), source, decoding=GREEDY)
        assert Repeat.seen == [bytes([7]) * (width // 2)] * (width // 10)


def test_more_samples_change_no_earlier_one() -> None:
    predictor, sampler = compgen.predictor("order2"), compgen.sampler("image")
    (one,) = sampler.sample(predictor, png(RAMP), decoding=Decoding(seed=4))
    (three,) = sampler.sample(predictor, png(RAMP), decoding=Decoding(seed=4), samples=3)
    assert three.sampled[: len(one.sampled)] == one.sampled
    assert len(three.sampled) == 3 * len(one.sampled)


def test_every_kind_of_image_is_read() -> None:
    rng = np.random.Generator(np.random.Philox(key=3))
    colour = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    mean = (colour.astype(int).sum(axis=-1) // 3).astype(np.uint8)
    assert np.array_equal(read_gray(png(colour)), mean)
    assert np.array_equal(read_gray(png(RAMP)), RAMP)
    deep = RAMP.astype(np.uint16) * 256 + 99
    assert np.array_equal(read_gray(png(deep)), RAMP)
    assert np.array_equal(read_gray(png(RAMP > 100)), np.where(RAMP > 100, 255, 0))
    palette = Image.fromarray(colour).quantize(4)
    expected = np.asarray(palette.convert("RGB")).astype(int).sum(axis=-1) // 3
    assert np.array_equal(read_gray(png(palette)), expected)
    assert np.array_equal(read_gray(png(palette, transparency=0)), np.where(np.asarray(palette) == 0, 255, expected))
    clear = np.dstack([colour, np.full((5, 7), 0, np.uint8)])
    assert np.all(read_gray(png(clear)) == 255)
    opaque = np.dstack([colour, np.full((5, 7), 255, np.uint8)])
    assert np.array_equal(read_gray(png(opaque)), mean)


def test_turned_and_moving_images() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert np.array_equal(read_gray(png(RAMP, exif=exif)), np.rot90(RAMP, -1))
    file = io.BytesIO()
    frames = [Image.fromarray(np.full((4, 4), level, np.uint8)) for level in (0, 255)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert np.all(read_gray(file.getvalue()) == 0)
    tiff = io.BytesIO()
    Image.fromarray(RAMP.astype(np.float32) / 255).save(tiff, "TIFF")
    assert np.abs(read_gray(tiff.getvalue()).astype(int) - RAMP).max() <= 1


# --- audio


def test_8_bits_are_the_top_ones() -> None:
    sampler = compgen.sampler("audio", context=5, length=3, offset=2)
    (rendering,) = sampler.sample(Repeat(), wav(TONE), decoding=GREEDY)
    given = ((TONE[2:7] >> 8) + 128).astype(np.uint8).tobytes()
    assert Repeat.seen == [given]
    data, rate = soundfile.read(io.BytesIO(rendering.data), dtype="int16")
    assert rate == 16000
    assert ((data >> 8) + 128).astype(np.uint8).tobytes() == given + rendering.sampled
    assert soundfile.info(io.BytesIO(rendering.data)).subtype == "PCM_U8"


def test_16_bits_go_high_byte_first() -> None:
    (rendering,) = compgen.sampler("audio", bits=16, context=5, length=3).sample(
        Repeat(), wav(TONE, 22050), decoding=GREEDY
    )
    assert Repeat.seen == [TONE[:5].astype(">i2").tobytes()]
    assert len(rendering.sampled) == 6
    data, rate = soundfile.read(io.BytesIO(rendering.data), dtype="int16")
    assert rate == 22050
    assert data.astype(">i2").tobytes() == Repeat.seen[0] + rendering.sampled


@pytest.mark.parametrize("bits", [8, 16])
def test_flac_holds_the_same_samples(bits: int) -> None:
    decoded = []
    for kind in ("wav", "flac"):
        sampler = compgen.sampler("audio", bits=bits, format=kind)
        (rendering,) = sampler.sample(compgen.predictor("order2"), wav(TONE), decoding=Decoding())
        assert rendering.suffix == f".{kind}"
        decoded.append(soundfile.read(io.BytesIO(rendering.data), dtype="int16")[0])
    assert len(decoded[0]) == 2048
    assert np.array_equal(*decoded)


@pytest.mark.parametrize(("available", "context"), [(4000, 1024), (2048, 1024), (100, 50), (2, 1)])
def test_default_audio_context(available: int, context: int) -> None:
    compgen.sampler("audio").sample(Repeat(), wav(TONE[:available]), decoding=GREEDY)
    assert [len(seen) for seen in Repeat.seen] == [context]


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "FLOAT"), ("WAV", "DOUBLE"), ("WAV", "PCM_24"), ("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("AIFF", "PCM_16")],
)
def test_every_kind_of_audio_is_read(kind: str, subtype: str) -> None:
    source = wav(TONE / 32768.0 if "PCM" not in subtype else TONE, 8000, kind, subtype)
    pcm, rate = read_mono(source)
    assert rate == 8000
    assert np.array_equal(pcm, TONE)


@pytest.mark.parametrize("length", [1, 300, 40_000])
def test_spectrogram_lies_beside(length: int) -> None:
    pytest.importorskip("matplotlib", reason="spectrograms need matplotlib")
    (rendering,) = compgen.sampler("audio", length=length).sample(Repeat(), wav(TONE), decoding=GREEDY)
    assert set(rendering.extras) == {".spectrogram.png"}
    assert opened(rendering.extras[".spectrogram.png"]).shape[0] > 300


def test_no_spectrogram_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    (rendering,) = compgen.sampler("audio", length=4).sample(Repeat(), wav(TONE), decoding=GREEDY)
    assert rendering.extras == {}


# --- what a codec is told


def test_codecs_are_told_the_geometry() -> None:
    told = fit(CompressorPredictor(Geometric()), width=9, bits=16, byteorder="big", other=1)
    assert told == CompressorPredictor(Geometric(width=9, bits=16, byteorder="big"))


def test_parts_are_told_the_geometry() -> None:
    mixed = Mixed((CompressorPredictor(Geometric()), Repeat()))
    assert fit(mixed, width=9) == Mixed((CompressorPredictor(Geometric(width=9)), Repeat()))


def test_what_the_spec_says_stays() -> None:
    chosen = CompressorPredictor(Geometric(width=5, samplerate=44100))
    assert fit(chosen, width=9, samplerate=16000) == chosen
    assert fit(Repeat(), width=9) == Repeat()


# --- what cannot be used


@pytest.mark.parametrize(
    ("modality", "parameters", "source", "message"),
    [
        ("text", {}, b"", "empty"),
        ("bytes", {"context": 4}, b"abc", "has 3 bytes, fewer than the context of 4"),
        ("image", {}, b"no image", "not an image"),
        ("image", {}, b"", "not an image"),
        ("image", {}, png(RAMP)[:50], "image is damaged"),
        ("image", {"context": 8}, png(RAMP), "has 8 columns, too few to continue 8 by"),
        ("image", {"context": 4, "length": 5}, png(RAMP), "has 8 columns, too few to continue 4 by 5"),
        ("image", {"mode": "raster", "length": 4}, png(RAMP), "has 6 rows"),
        ("image", {}, png(RAMP[:, :1]), "has 1 columns"),
        ("audio", {}, b"no sound", "not audio"),
        ("audio", {}, b"", "not audio"),
        ("audio", {}, wav(np.zeros((50, 2), np.int16)), "2 channels.*mix it down"),
        ("audio", {}, wav(np.zeros(0, np.int16)), "has 0 samples"),
        ("audio", {"context": 101}, wav(TONE[:100]), "has 100 samples, too few for a context of 101"),
        ("audio", {"offset": 5000}, wav(TONE), "has 4000 samples"),
    ],
)
def test_unusable_sources(modality: str, parameters: dict[str, Any], source: bytes, message: str) -> None:
    with pytest.raises(compgen.BadInputError, match=message) as caught:
        compgen.sampler(modality, **parameters).sample(Repeat(), source, decoding=GREEDY)
    assert "\n" not in str(caught.value)


def test_decompression_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    for source in (png(RAMP), png(np.zeros((50, 50), np.uint8))):  # beyond once, beyond twice: a warning, an error
        with pytest.raises(compgen.BadInputError, match="more than 30 pixels"):
            read_gray(source)


@pytest.mark.parametrize(
    ("modality", "parameters"),
    [
        ("text", {"context": 0}),
        ("text", {"length": 0}),
        ("image", {"mode": "spiral"}),
        ("image", {"width": 0}),
        ("image", {"context": 0}),
        ("audio", {"bits": 12}),
        ("audio", {"format": "mp3"}),
        ("audio", {"length": 0}),
        ("audio", {"context": 0}),
        ("audio", {"offset": -1}),
        ("audio", {"mode": "rows"}),
        ("video", {}),
    ],
)
def test_wrong_parameters(modality: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(compgen.UsageError):
        compgen.sampler(modality, **parameters)


@pytest.mark.parametrize(("modality", "source"), [("text", b"abc"), ("image", png(RAMP)), ("audio", wav(TONE))])
def test_at_least_one_sample(modality: str, source: bytes) -> None:
    with pytest.raises(compgen.UsageError, match="samples must be at least 1"):
        compgen.sampler(modality).sample(Repeat(), source, decoding=GREEDY, samples=0)


# --- real data


def test_real_image(data_file: Callable[[str], Path]) -> None:
    source = data_file("image/n01443537_goldfish.JPEG").read_bytes()
    (rendering,) = compgen.sampler("image", width=64).sample(compgen.predictor("order2"), source, decoding=Decoding())
    assert read_gray(source).shape == (263, 376)
    assert len(rendering.sampled) == 32 * 45  # 45 = 263 * 64 / 376
    assert opened(rendering.data).shape[1] > 2 * 256


def test_real_audio(data_file: Callable[[str], Path]) -> None:
    source = data_file("audio/103-1240-0000.flac").read_bytes()
    (rendering,) = compgen.sampler("audio").sample(compgen.predictor("order2"), source, decoding=Decoding())
    data, rate = soundfile.read(io.BytesIO(rendering.data))
    assert (len(data), rate) == (2048, 16000)


@pytest.fixture
def data_file() -> Callable[[str], Path]:
    def find(name: str) -> Path:
        folder = os.environ.get("COMPGEN_DATA")
        if not folder or not (Path(folder) / name).exists():
            pytest.skip(f"needs {name} in the folder that COMPGEN_DATA names")
        return Path(folder) / name

    return find
