"""The bits of pairs of texts are those of zlib's own output, whatever shares what."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import synthetic_text
from deflate_oracle import zlib_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import compgen
from baselines import deflate
from baselines.deflate import DeflateSettings, pair_bits

_words = st.lists(st.sampled_from([b"the", b"cat", b"sat", b"on", b"zebra", b"ab"]), max_size=120).map(b" ".join)
_texts = st.one_of(_words, st.binary(max_size=200), st.text("ab", max_size=300).map(str.encode), st.just(b"a" * 400))


@settings(max_examples=150, deadline=None)
@given(st.lists(_texts, min_size=1, max_size=4), st.lists(_texts, min_size=1, max_size=6))
def test_bits_are_zlib_s_own(firsts: list[bytes], seconds: list[bytes]) -> None:
    bits = pair_bits(firsts, seconds, DeflateSettings())
    for i, x in enumerate(firsts):
        for j, y in enumerate(seconds):
            if x + y:
                assert bits[i, j] == zlib_bits(x + y, 9)


@pytest.mark.parametrize("size", [4100, 4300, 16_380, 20_000, 32_400, 32_507, 40_000])
def test_bits_beyond_every_limit_of_zlib(size: int) -> None:
    """Far short matches, full blocks, long chains, the window: with and without what the fast kernel can do."""
    noise = np.random.default_rng(1).integers(97, 105, size, dtype=np.uint8).tobytes()
    for first in (synthetic_text(size, 1), noise, b"abc" * (size // 3), bytes(size)):
        for second in (first[:300], synthetic_text(700, 2), first):
            assert pair_bits([first], [second], DeflateSettings())[0, 0] == zlib_bits(first + second, 9)


def test_a_code_that_zlib_must_shorten() -> None:
    """Frequencies of Fibonacci make a code longer than 15 bits, and lengths whose own code is longer than 7."""
    text, a, b = b"", 1, 1
    for symbol in range(20):
        text += bytes([65 + symbol]) * a
        a, b = b, a + b
    order = np.random.default_rng(3).permutation(len(text))[:15_000]
    shuffled = bytes(np.frombuffer(text, np.uint8)[order])
    for first, second in ((shuffled[:6000], shuffled[6000:]), (shuffled[:50], shuffled[50:16_000])):
        assert pair_bits([first], [second], DeflateSettings())[0, 0] == zlib_bits(first + second, 9)


@pytest.mark.parametrize("spec", ["gzip:level=6", "gzip:level=1", "gzip:window_bits=12", "zlib:strategy=huffman"])
def test_other_settings(spec: str) -> None:
    codec = compgen.compressor(spec)
    x, y = synthetic_text(900, 3), synthetic_text(500, 4)
    assert codec.pair_lengths([x], [y])[0, 0] == codec.code_length(x + y)


def test_another_zlib_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deflate, "matches_platform", lambda settings: False)
    x, y = synthetic_text(900, 3), synthetic_text(500, 4)
    assert pair_bits([x], [y], DeflateSettings())[0, 0] == zlib_bits(x + y, 9)


def test_many_texts_come_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [synthetic_text(50 + 13 * n, n) for n in range(12)]
    whole = pair_bits(seconds, seconds, DeflateSettings())
    monkeypatch.setattr(deflate, "_TILE_BYTES", 300)
    assert (pair_bits(seconds, seconds, DeflateSettings()) == whole).all()


@pytest.mark.parametrize("spec", ["lzma2", "zstd", "order2"])
def test_every_compressor_has_pairs(spec: str) -> None:
    codec = compgen.compressor(spec)
    lengths = codec.pair_lengths([b"abc ", b"to be "], [b"abc", b"or not", b"x"])
    assert lengths.shape == (2, 3)
    assert lengths[1, 1] == codec.code_length(b"to be or not")
    assert codec.pair_lengths([], [b"a"]).shape == (0, 1)
