"""The autoregressive core: how symbols are chosen, and that a seed fixes them whatever runs beside."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compgen
from compgen.datasets import default_context
from compgen.interfaces import Compressor, Decoding, FloatArray, Predictor, Session, Symbols
from compgen.sampling import choose, continue_streams, uniforms

TEXT = default_context()


@dataclass(frozen=True)
class Deflate(Compressor):
    """A codec by brute force, so that these tests need no other."""

    name: ClassVar[str] = "test-deflate"

    def compress(self, data: bytes) -> bytes:
        return zlib.compress(data, 9)

    def decompress(self, data: bytes) -> bytes:
        return zlib.decompress(data)

    def code_length(self, data: bytes) -> float:
        return 8.0 * len(self.compress(data))


@dataclass(frozen=True)
class Ternary(Predictor):
    """Three symbols with fixed probabilities."""

    name: ClassVar[str] = "test-ternary"
    alphabet_size = 3
    weights: tuple[float, float, float] = (0.25, 0.25, 0.5)

    def session(self, contexts: Sequence[Symbols]) -> Session:
        return _TernarySession(len(contexts), self.weights)


class _TernarySession(Session):
    def __init__(self, streams: int, weights: tuple[float, float, float]) -> None:
        self.rows = np.tile(np.array(weights), (streams, 1))

    def probabilities(self) -> FloatArray:
        return self.rows

    def push(self, symbols: Symbols) -> None:
        assert len(symbols) == len(self.rows)

    def fork(self) -> Session:
        return self


def drawn(probabilities: Sequence[float], decoding: Decoding, points: int = 1000) -> list[float]:
    """Shares of the symbols when the random number goes evenly over [0, 1)."""
    rows = np.tile(np.array(probabilities, dtype=np.float64), (points, 1))
    symbols = choose(rows, (np.arange(points) + 0.5) / points, decoding)
    return [round(float(np.mean(symbols == s)), 3) for s in range(len(probabilities))]


@pytest.mark.parametrize(
    ("decoding", "shares"),
    [
        (Decoding(), [0.1, 0.4, 0.2, 0.3]),
        (Decoding(greedy=True), [0, 1, 0, 0]),
        (Decoding(top_k=1), [0, 1, 0, 0]),
        (Decoding(top_k=2), [0, 0.571, 0, 0.429]),
        (Decoding(top_k=9), [0.1, 0.4, 0.2, 0.3]),
        (Decoding(top_p=0.3), [0, 1, 0, 0]),
        (Decoding(top_p=0.69), [0, 0.571, 0, 0.429]),
        (Decoding(top_p=1e-9), [0, 1, 0, 0]),
        (Decoding(top_p=1.0), [0.1, 0.4, 0.2, 0.3]),
        (Decoding(temperature=0.5), [0.033, 0.533, 0.134, 0.3]),
        (Decoding(temperature=1e-300), [0, 1, 0, 0]),
        (Decoding(temperature=1e300), [0.25, 0.25, 0.25, 0.25]),
        (Decoding(temperature=1e300, top_k=2), [0, 0.5, 0, 0.5]),
        (Decoding(top_k=3, top_p=0.5), [0, 0.571, 0, 0.429]),  # p counts over what top-k left: 0.4 / 0.9 < 0.5
    ],
)
def test_decoding(decoding: Decoding, shares: list[float]) -> None:
    assert drawn([0.1, 0.4, 0.2, 0.3], decoding) == pytest.approx(shares, abs=0.002)


def test_ties_go_in_order_of_the_symbol() -> None:
    assert drawn([0.25] * 4, Decoding(greedy=True)) == [1, 0, 0, 0]
    assert drawn([0.25] * 4, Decoding(top_k=2)) == [0.5, 0.5, 0, 0]
    assert drawn([0.25] * 4, Decoding(top_p=0.75)) == [0.333, 0.334, 0.333, 0]


def test_low_temperature_keeps_tiny_probabilities_apart() -> None:
    """Squaring 1e-200 would underflow; relative to the largest nothing is lost."""
    assert drawn([1e-200, 3e-200], Decoding(temperature=0.5)) == [0.1, 0.9]
    assert drawn([1e-305, 1e-306, 0.0], Decoding(temperature=1e9)) == [0.5, 0.5, 0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 1, exclude_max=True), st.data())
def test_only_possible_symbols_are_drawn(weights: list[float], uniform: float, data: st.DataObject) -> None:
    weights[data.draw(st.integers(0, len(weights) - 1))] = 0.5
    decoding = Decoding(
        temperature=data.draw(st.floats(0.01, 100)),
        top_k=data.draw(st.none() | st.integers(1, 25)),
        top_p=data.draw(st.none() | st.floats(0.001, 1)),
    )
    symbol = int(choose(np.array([weights]), np.array([uniform]), decoding)[0])
    assert weights[symbol] > 0
    if decoding.top_k is not None:
        assert sum(w > weights[symbol] for w in weights) < decoding.top_k


def test_last_symbol_is_reached_and_not_passed() -> None:
    top = 1 - 2.0**-53
    assert choose(np.array([[0.1] * 10 + [0.0]]), np.array([top]), Decoding()).tolist() == [9]
    assert choose(np.array([[0.0, 1.0]]), np.array([0.0]), Decoding()).tolist() == [1]


@pytest.mark.parametrize("row", [[np.nan, 0.5], [0.0, 0.0], [np.inf, 1.0]])
def test_bad_probabilities_are_an_error(row: list[float]) -> None:
    with pytest.raises(compgen.CompgenError, match="cannot be sampled"):
        choose(np.array([row]), np.array([0.5]), Decoding())


def philox(counter: list[int], key: list[int]) -> list[int]:
    """One block of Philox-4x64-10 (Salmon et al. 2011), written down from the paper."""
    for _ in range(10):
        a, b = counter[0] * 0xD2E7470EE14C6C93, counter[2] * 0xCA5A826395121157
        counter = [(b >> 64) ^ counter[1] ^ key[0], b % 2**64, (a >> 64) ^ counter[3] ^ key[1], a % 2**64]
        key = [(key[0] + 0x9E3779B97F4A7C15) % 2**64, (key[1] + 0xBB67AE8584CAA73B) % 2**64]
    return counter


def test_philox_is_the_published_one() -> None:
    """From the known answers of the Random123 library."""
    assert philox([0] * 4, [0] * 2)[0] == 0x16554D9ECA36314C


def test_random_numbers_are_pinned() -> None:
    """Words of Philox-4x64 under the key (seed, stream), counters from 1 on; the top 53 bits count."""
    for seed, stream in [(0, 0), (42, 1), (2**64 - 1, 5)]:
        words = [word for block in (1, 2, 3) for word in philox([block, 0, 0, 0], [seed, stream])]
        assert uniforms(seed, stream, 12).tolist() == [(word >> 11) * 2.0**-53 for word in words]
    numbers = uniforms(1, 2, 10_000)
    assert np.array_equal(uniforms(1, 2, 10), numbers[:10])
    assert 0.49 < numbers.mean() < 0.51
    assert 0 <= numbers.min() < numbers.max() < 1


GOLDEN = {
    ("uniform", 1.0, None): [
        b"\xd10\xdee^o1\x0f\xe0\xc4Y\n\x10\x8e\xbae\xfc\xd7\x93\xb6\xf7\xaazY",
        b"q\xd0\x82c\x06X\xf7\xc5\xf9I:vGI\xbd\xb6^\xf5\xbb\xb2\x84|\xe5N",
    ],
    ("order2", 1.0, None): [b"s the e the bitext torBh", b"gues hrowcand theoreals "],
    ("order2", 0.7, 0.9): [b"s the ised a letter, a l", b"gues and sage surpreader"],
}


@pytest.mark.parametrize(("name", "temperature", "top_p"), list(GOLDEN))
def test_golden_samples(name: str, temperature: float, top_p: float | None) -> None:
    got = compgen.sample(name, TEXT, 24, samples=2, temperature=temperature, top_p=top_p, seed=42)
    assert got == GOLDEN[name, temperature, top_p]


@pytest.mark.parametrize("predictor", [Deflate(), "order3"])
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_jobs_do_not_change_samples(predictor: str | Compressor, backend: str) -> None:
    alone = compgen.sample(predictor, TEXT[:200], 3, samples=3, seed=5)
    with compgen.jobs(2, backend):
        assert compgen.sample(predictor, TEXT[:200], 3, samples=3, seed=5) == alone
        assert compgen.sample(predictor, TEXT[:200], 3, samples=1, seed=5) == alone[:1]


def test_streams_do_not_depend_on_those_beside() -> None:
    predictor, contexts = compgen.predictor("order2"), [TEXT[:100], TEXT[100:150], b""]
    together = continue_streams(predictor, contexts, 20, Decoding(seed=3))
    for number, context in enumerate(contexts):
        (alone,) = continue_streams(predictor, [context], 20, Decoding(seed=3), first_stream=number)
        assert np.array_equal(alone, together[number])
    longer = continue_streams(predictor, contexts, 30, Decoding(seed=3))
    assert all(np.array_equal(a[:20], b) for a, b in zip(longer, together, strict=True))


def test_seeds_and_streams_differ() -> None:
    first = compgen.sample("uniform", b"", 8, samples=3, seed=1)
    assert len({*first, *compgen.sample("uniform", b"", 8, samples=3, seed=2)}) == 6


def test_greedy_continues_a_pattern() -> None:
    assert compgen.sample("order3", b"abcabcabcabcabc", 7, greedy=True) == [b"abcabca"]


def test_any_alphabet() -> None:
    (symbols,) = continue_streams(Ternary(), [[0, 1, 2]], 2000, Decoding())
    assert symbols.dtype == np.int64
    assert np.bincount(symbols) / 2000 == pytest.approx([0.25, 0.25, 0.5], abs=0.04)
    with pytest.raises(compgen.UsageError, match="3 symbols"):
        compgen.sample(Ternary(), b"", 1)


def test_progress_counts_symbols_or_streams() -> None:
    seen: list[tuple[int, int]] = []
    compgen.sample("order1", TEXT, 3, samples=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    seen.clear()
    with compgen.jobs(2, "threading"):
        compgen.sample("order1", TEXT, 3, samples=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def test_interruption_ends_the_threads() -> None:
    """Whoever presses Ctrl-C waits for one symbol, not for the rest of the sample."""

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    contexts = [TEXT, *[TEXT] * 3]
    with compgen.jobs(2, "threading"), pytest.raises(KeyboardInterrupt):
        continue_streams(compgen.predictor("order1"), contexts, 20_000, Decoding(), interrupt)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"length": 0}, "length must be at least 1"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed must be below"),
        ({"temperature": 0.0}, "temperature"),
        ({"top_k": 0}, "top-k"),
        ({"top_p": 1.5}, "top-p"),
        ({"context": "text"}, "not str"),
        ({"context": [1, 256]}, "symbol 256"),
        ({"context": [-1]}, "symbol -1"),
        ({"context": np.zeros((2, 2), int)}, "whole numbers"),
        ({"context": [0.5]}, "whole numbers"),
        ({"predictor": "nothing"}, "unknown predictor"),
    ],
)
def test_wrong_requests(arguments: dict[str, object], error: str) -> None:
    full = {"predictor": "uniform", "context": b"", "length": 1, **arguments}
    with pytest.raises(compgen.CompgenError, match=error) as caught:
        compgen.sample(**full)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_no_contexts() -> None:
    with pytest.raises(compgen.UsageError, match="at least one context"):
        continue_streams(compgen.predictor("uniform"), [], 1, Decoding())
