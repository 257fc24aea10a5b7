"""gzip's kernel against zlib itself: the exact bits of real output, on real and adversarial data."""

from __future__ import annotations

import random
import zlib

import numpy as np
import pytest
from deflate_oracle import read_bits, zlib_bits, zlib_stream
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from baselines import _deflate_blocks as blocks
from baselines import deflate
from baselines.deflate import CopyContinuations, DeflateContinuations, DeflateSettings
from baselines.gzip import Gzip


def _text(rng: random.Random, length: int) -> bytes:
    words = [bytes(rng.choices(b"etaoinshrdlucmfwypvbgk", k=rng.randint(1, 9))) for _ in range(400)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    return b" ".join(rng.choices(words, weights, k=length // 2 + 1))[:length]


def _periodic(rng: random.Random, length: int) -> bytes:
    period = rng.randbytes(rng.choice([2, 3, 4, 7, 50, 257, 258, 259, 300, 1000, 32500, 32768]))
    return (period * (length // len(period) + 1))[:length]


def _patchwork(rng: random.Random, length: int) -> bytes:
    """Copies of every length and distance between runs of noise."""
    out = bytearray(b"x")
    while len(out) < length:
        if rng.random() < 0.5:
            start = rng.randrange(len(out))
            for i in range(rng.choice([3, 4, 5, 10, 50, 257, 258, 300])):
                out.append(out[start + i])
        else:
            out += rng.randbytes(rng.choice([1, 2, 3, 10]))
    return bytes(out[:length])


def _long_codes(rng: random.Random, length: int) -> bytes:
    """Fibonacci frequencies: Huffman codes as long as they get, beyond deflate's 15 bits for long inputs."""
    weights = [1, 1]
    while len(weights) < 22:
        weights.append(weights[-1] + weights[-2])
    return bytes(rng.choices(range(len(weights)), weights, k=length))


KINDS = {
    "text": _text,
    "random": lambda rng, length: rng.randbytes(length),
    "all-equal": lambda rng, length: bytes([rng.randrange(256)]) * length,
    "two letters": lambda rng, length: bytes(rng.choices(b"ab", k=length)),
    "periodic": _periodic,
    "patchwork": _patchwork,
    "long codes": _long_codes,
    "mixed": lambda rng, length: _text(rng, length // 2) + rng.randbytes(length - length // 2),
}
SETTINGS = [DeflateSettings(level, strategy) for level in range(1, 10) for strategy in ("default", "filtered")]
# Small windows and blocks reach within a few KB what otherwise takes many: sliding windows, full blocks.
SMALL = [DeflateSettings(level, "default", 9, 1) for level in range(1, 10)]


def check(data: bytes, length: int, steps: int, how: DeflateSettings, rng: random.Random) -> int:
    """Compare after ``data[:length]`` and ``steps - 1`` more bytes, for some next bytes; returns how many pairs."""
    state = DeflateContinuations(data[:length], how)
    pairs = 0
    for position in range(length, length + steps):
        lengths = state.lengths()
        following = {data[position], *rng.sample(range(256), 3), *data[max(0, position - 2) : position]}
        for byte in following:
            assert lengths[byte] == zlib_bits(data[:position] + bytes([byte]), *how), (how, position, byte)
        pairs += len(following)
        state.push(data[position])
    return pairs


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_equal_zlib(kind: str) -> None:
    rng = random.Random(f"lengths {kind}")
    pairs = 0
    for how in [*SETTINGS, *SMALL]:
        for longest in (40, 3000, 3000):
            length = rng.randrange(longest)
            pairs += check(KINDS[kind](rng, length + 8), length, 8, how, rng)
    assert pairs > 2000


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_equal_zlib_beyond_window_and_block(kind: str) -> None:
    rng = random.Random(f"long {kind}")
    for level in (1, 3, 4, 6, 9):
        length = rng.randrange(32_000, 102_400)
        check(KINDS[kind](rng, length + 3), length, 3, DeflateSettings(level), rng)


@pytest.mark.parametrize("level", [1, 6, 9])
def test_every_step_across_the_end_of_a_block(level: int) -> None:
    """A block ends after 2**(memory_level + 6) - 1 symbols, and so does zlib's patience."""
    rng = random.Random(level)
    check(rng.randbytes(300), 60, 230, DeflateSettings(level, "default", 15, 1), rng)
    check(rng.randbytes(16_600), 16_370, 30, DeflateSettings(level), rng)


@pytest.mark.parametrize("level", [1, 6, 9])
def test_every_step_across_the_slide_of_the_window(level: int) -> None:
    rng = random.Random(level)
    check(_patchwork(rng, 1400), 700, 700, DeflateSettings(level, "default", 9, 1), rng)


def test_lengths_equal_zlib_on_a_hundred_thousand_pairs(real_data) -> None:  # type: ignore[no-untyped-def]
    """Levels, lengths 0-100 KB, text, image, audio, random, all-equal, periodic data."""
    import lzma

    import soundfile
    from PIL import Image

    rng = random.Random(0)
    text = lzma.decompress((real_data / "text" / "enwik8_0_3002913.xz").read_bytes())[:1_000_000]
    code = lzma.decompress((real_data / "text" / "python_thealgorithms.xz").read_bytes())[:1_000_000]
    picture = Image.open(sorted((real_data / "image").glob("*.JPEG"))[0]).convert("L").tobytes()
    speech, _ = soundfile.read(sorted((real_data / "audio").glob("*.flac"))[0], dtype="int16")
    samples = ((speech >> 8) + 128).astype(np.uint8).tobytes()
    sources = [text, code, picture, samples, speech.tobytes()]
    pairs = 0
    while pairs < 100_000:
        how = DeflateSettings(rng.randint(1, 9), rng.choice(["default", "default", "filtered"]))
        length = rng.choice([rng.randrange(100), rng.randrange(3000), rng.randrange(40_000), rng.randrange(102_400)])
        if rng.random() < 0.5:
            source = rng.choice(sources)
            start = rng.randrange(max(1, len(source) - length - 40))
            data = source[start : start + length + 40]
        else:
            data = KINDS[rng.choice(list(KINDS))](rng, length + 40)
        pairs += check(data, len(data) - 40, 40 if length < 3000 else 5, how, rng)


@settings(max_examples=150, deadline=None)
@given(
    data=st.one_of(st.binary(min_size=1, max_size=400), st.text("ab ", min_size=1, max_size=400).map(str.encode)),
    how=st.sampled_from([*SETTINGS, *SMALL]),
)
def test_code_length_is_the_bits_of_the_stream(data: bytes, how: DeflateSettings) -> None:
    stream = zlib_stream(data, *how)
    assert deflate.bits_of(data, how) == read_bits(stream) == zlib_bits(data, *how)


@pytest.mark.parametrize("how", [DeflateSettings(9), DeflateSettings(1, "huffman"), DeflateSettings(0)])
def test_code_lengths_of_many_texts_are_the_bits_of_their_streams(how: DeflateSettings) -> None:
    """Of all kinds of blocks, some of which are among several in a stream, and codes of up to 15 bits."""
    rng = random.Random(0)
    texts = [b"", *(made(rng, length) for made in KINDS.values() for length in (1, 60, 2048, 90_000))]
    expected = [zlib_bits(text, *how) for text in texts]
    np.testing.assert_array_equal(deflate.bits_of_each(texts, how), expected)
    codec = Gzip(how.level, how.strategy)
    assert codec.code_lengths(texts) == [codec.code_length(text) for text in texts] == expected


@pytest.mark.parametrize("strategy", ["huffman", "rle", "fixed"])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_settings_without_kernel_count_zlibs_output(strategy: deflate.Strategy, level: int) -> None:
    how = DeflateSettings(level, strategy)
    data = _text(random.Random(1), 500)
    assert not how.has_kernel
    assert deflate.bits_of(data, how) == read_bits(zlib_stream(data, *how))


def test_kernel_matches_this_zlib() -> None:
    """Else all else still works, only slower; but then these tests test little."""
    if "ng" in getattr(zlib, "ZLIBNG_VERSION", "") or "ng" in zlib.ZLIB_RUNTIME_VERSION:
        pytest.skip("this Python is built with zlib-ng")
    assert all(deflate.matches_platform(how) for how in SETTINGS)


def test_fallback_gives_the_same_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    data, how = _text(random.Random(2), 700), DeflateSettings(6)
    kernel = DeflateContinuations(data, how)
    monkeypatch.setattr(deflate, "matches_platform", lambda _: False)
    copying = deflate.continuations(data, how)
    assert isinstance(copying, CopyContinuations)
    for byte in b"the":
        fork = copying.fork()
        np.testing.assert_array_equal(fork.lengths(), kernel.lengths())
        copying.push(byte)
        kernel.push(byte)
    np.testing.assert_array_equal(copying.lengths(), kernel.lengths())
    assert deflate.bits_of(data, how) == zlib_bits(data, *how)


def test_extending_at_once_and_byte_by_byte_agree() -> None:
    data = _patchwork(random.Random(3), 5000)
    for how in (DeflateSettings(9), DeflateSettings(2), SMALL[5]):
        whole, stepwise = DeflateContinuations(data, how), DeflateContinuations(b"", how)
        for byte in data:
            stepwise.push(byte)
        np.testing.assert_array_equal(whole.lengths(), stepwise.lengths())


def test_fork_is_independent() -> None:
    state = DeflateContinuations(b"abcabcabd", DeflateSettings())
    before = state.lengths()
    fork = state.fork()
    fork.push(ord("a"))
    np.testing.assert_array_equal(state.lengths(), before)
    np.testing.assert_array_equal(fork.lengths(), DeflateContinuations(b"abcabcabda", DeflateSettings()).lengths())


# Compiled functions that only compiled ones can call.
@njit
def _huffman_lengths(frequencies, lengths, work):  # type: ignore[no-untyped-def]
    return blocks.huffman_lengths(frequencies, lengths, work)


@njit
def _distance_symbol(distance):  # type: ignore[no-untyped-def]
    return blocks.distance_symbol(distance)


def _plain_huffman_cost(frequencies: list[int]) -> int:
    """Least cost of a prefix code (Huffman 1952), by repeatedly adding the two smallest."""
    import heapq

    heap = [f for f in frequencies if f]
    heapq.heapify(heap)
    cost = 0
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        cost += joined
        heapq.heappush(heap, joined)
    return cost


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=30, max_size=30).filter(lambda f: sum(map(bool, f)) > 1))
def test_huffman_lengths_are_optimal_and_a_prefix_code(frequencies: list[int]) -> None:
    lengths = np.zeros(30, np.int64)
    _huffman_lengths(np.array(frequencies), lengths, np.zeros((4, 1024), np.int64))
    used = lengths[lengths > 0]
    assert (2.0**-used).sum() == 1
    assert int((np.array(frequencies) * lengths).sum()) == _plain_huffman_cost(frequencies)


def test_symbol_tables_follow_rfc_1951() -> None:
    assert [int(blocks.LENGTH_SYMBOL[n]) for n in (3, 10, 11, 12, 13, 114, 115, 257, 258)] == [
        257, 264, 265, 265, 266, 279, 280, 284, 285,
    ]  # fmt: skip
    distances = (1, 4, 5, 6, 7, 192, 193, 256, 257, 384, 385, 24576, 24577, 32768)
    codes = [0, 3, 4, 4, 5, 14, 15, 15, 16, 16, 17, 28, 29, 29]
    assert [int(_distance_symbol(d)) for d in distances] == codes


@pytest.mark.parametrize(
    "parameters",
    [
        *(DeflateSettings(), DeflateSettings(level=1), DeflateSettings(6, window_bits=9, memory_level=1)),
        *(DeflateSettings(strategy="filtered"), DeflateSettings(strategy="huffman"), DeflateSettings(level=0)),
    ],
    ids=str,
)
def test_many_strings_in_one_call_cost_what_each_costs_alone(parameters: DeflateSettings) -> None:
    """Tables that are used again, by strings of other lengths, leave no trace; zlib is the judge."""
    rng = random.Random(5)
    strings = [kind(rng, length) for kind in KINDS.values() for length in (1, 2, 3, 700, 40, 5000)]
    strings[7:7] = [b"", b"a"]
    rng.shuffle(strings)
    codec = Gzip(parameters.level, parameters.strategy, parameters.window_bits, parameters.memory_level)
    expected = [zlib_bits(string, *parameters) for string in strings]
    assert codec.code_lengths(strings) == expected == [codec.code_length(string) for string in strings]
    whole = Gzip(parameters.level, parameters.strategy, parameters.window_bits, parameters.memory_level, True)
    assert whole.code_lengths(strings) == [-(-bits // 8) * 8 for bits in expected]
    assert codec.code_lengths([]) == []
