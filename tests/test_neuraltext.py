"""Neurally compressed text: windows against an oracle, encoders, shards, M2, the tokenizer and the commands."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

import neuraltext_oracle as oracle
import numpy as np
import pytest
from conftest import synthetic_text
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import run
from test_transformer import random_weights

import compgen
from compgen import cli, neuraltext
from compgen.cli.neuraltext import command as commands
from compgen.coding import quantise
from compgen.datasets import default_context
from compgen.errors import BadInputError, CompgenError, CorruptDataError, UsageError
from compgen.interfaces import Predictor, Session, Symbols, symbol_array
from compgen.neuraltext import analysis, arithmetic, coder, corpus, dictionary, encoders, m1, paper, tokenfile
from compgen.neuraltext.encoders import Encoder
from compgen.neuraltext.windows import RESETS, Windows
from compgen.predictors.transformer.config import Config

TEXT = default_context()
posix = pytest.mark.skipif(sys.platform == "win32", reason="uses signals of POSIX")


# --- M1s that make it hard -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scripted(Predictor):
    """P of a function of what was read; counts the predictions that it is asked for."""

    kind: str
    asked: list[int] = field(default_factory=lambda: [0], compare=False)
    name: ClassVar[str] = "scripted"
    exact = True

    def row(self, context: bytes) -> np.ndarray:
        if self.kind == "uniform":  # all boundaries are points
            return np.full(256, 1 / 256)
        generator = np.random.default_rng(zlib.crc32(context))
        if self.kind == "random":
            weights = generator.exponential(size=256) ** 6 + 1e-12
            return weights / weights.sum()
        favourite = {"first": 0, "last": 255}.get(self.kind, int(generator.integers(256)))
        row = np.full(256, 1e-9)
        row[favourite] = 1.0
        return row / row.sum()

    def session(self, contexts: Sequence[Symbols]) -> Session:
        return _ScriptedSession(self, [bytes(symbol_array(context).tolist()) for context in contexts])


class _ScriptedSession(Session):
    def __init__(self, model: Scripted, contexts: list[bytes]) -> None:
        self.model, self.contexts = model, contexts

    def probabilities(self) -> np.ndarray:
        self.model.asked[0] += len(self.contexts)
        return np.stack([self.model.row(context) for context in self.contexts])

    def push(self, symbols: Symbols) -> None:
        self.contexts = [c + bytes([int(s)]) for c, s in zip(self.contexts, symbol_array(symbols), strict=True)]

    def fork(self) -> Session:
        return _ScriptedSession(self.model, list(self.contexts))


SHAPES = [
    Windows(16, 8),
    Windows(16, 16, delay=True),
    Windows(16, 16, reset_model="alternate"),
    Windows(24, 8),
    Windows(32, 16, reset_model="never"),
    Windows(32, 8, delay=True),
    Windows(64, 16),
    Windows(136, 8, reset_model="alternate", precision_bits=24),
    Windows(16, 8, precision_bits=9),
]
KINDS = ("uniform", "random", "first", "last", "peaked")
DOCUMENTS = [
    *(b"", b"a", b"\0" * 90, b"\xff" * 90, bytes(range(256)), TEXT[:150]),
    *(np.random.default_rng(seed).integers(0, 256, 20 + 9 * seed, np.uint8).tobytes() for seed in range(4)),
]


def named(windows: Windows) -> str:
    variant = "delay" if windows.delay else windows.reset_model
    return f"W{windows.window_bits}-{variant}-p{windows.precision_bits}"


def oracle_arguments(model: Predictor, windows: Windows) -> tuple[object, ...]:
    known: dict[bytes, list[int]] = {}

    def frequencies(context: bytes) -> list[int]:
        if context not in known:
            row = model.session([context]).probabilities()[0]
            known[context] = quantise(row, windows.precision_bits).tolist()
        return known[context]

    return frequencies, windows.window_bits, windows.precision_bits, windows.delay, RESETS[windows.reset_model]


# --- windows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("windows", SHAPES, ids=named)
def test_windows_are_those_of_the_oracle_and_decode(windows: Windows, kind: str) -> None:
    model = Scripted(kind)
    documents = [document[:60] for document in DOCUMENTS]
    codes = coder.encode(model, windows, documents)
    for document, code in zip(documents, codes, strict=True):
        arguments = oracle_arguments(model, windows)
        points = list(oracle.encode(document, *arguments))  # type: ignore[arg-type]
        rows = code.reshape(-1, windows.window_bytes)
        assert [int.from_bytes(row.tobytes(), "big") for row in rows] == points
        assert oracle.decode(points, *arguments) == document  # type: ignore[arg-type]
    assert coder.decode(model, windows, codes) == documents


@settings(max_examples=60, deadline=None)
@given(
    documents=st.lists(st.binary(max_size=120), max_size=6),
    windows=st.sampled_from(SHAPES),
    kind=st.sampled_from(KINDS),
)
def test_any_bytes_in_any_documents_come_back(documents: list[bytes], windows: Windows, kind: str) -> None:
    encoder = encoders.EqualInfo(Scripted(kind), windows)
    tokens = encoder.encode(documents)
    assert encoder.decode([ids.tolist() for ids in tokens]) == documents
    # Each document's tokens are its own, whatever is encoded with it.
    assert [ids.tolist() for ids in encoder.encode(documents[:1])] == [ids.tolist() for ids in tokens[:1]]


@settings(max_examples=60, deadline=None)
@given(point=st.integers(0, 2**24 - 1), kind=st.sampled_from(KINDS), bits=st.sampled_from([16, 24]))
def test_windows_and_words_are_in_bijection(point: int, kind: str, bits: int) -> None:
    """Every window, not only those of some encoder, stands for one word, whose only window it is."""
    windows, model = Windows(bits, 8), Scripted(kind)
    code = np.frombuffer((point % 2**bits).to_bytes(bits // 8, "big"), np.uint8)
    (word,) = coder.decode(model, windows, [code])
    assert 1 <= len(word) <= windows.longest_word
    np.testing.assert_array_equal(coder.encode(model, windows, [word])[0], code)


def test_the_published_rule_alone_is_ambiguous_and_ours_is_not() -> None:
    """Two texts of one length that greedy windows, as long as there is a point in the interval, write alike."""
    model, windows = compgen.predictor("transformer:200k"), Windows(16, 16)
    arguments = oracle_arguments(model, windows)
    frequencies = arguments[0]

    def greedy(data: bytes) -> list[int]:
        points, start = [], 0
        while start < len(data):
            string, place = oracle._root(16), start
            while place < len(data):
                # A string that keeps nothing for itself.
                keeping = oracle.String(string.low, string.width, string.first, string.last, 0)
                child = keeping.child(frequencies(data[start:place]), data[place], 14, False)  # type: ignore[operator]
                if child is None:
                    break
                string, place = child, place + 1
            points.append(string.round)
            start = place
        return points

    one, other = _written_alike(greedy)
    assert one != other
    assert len(one) == len(other)
    assert greedy(one) == greedy(other)
    ours = [coder.encode(model, windows, [data])[0].tolist() for data in (one, other)]
    assert ours[0] != ours[1]


def _written_alike(greedy: Callable[[bytes], list[int]]) -> tuple[bytes, bytes]:
    """Words of one window each, the second of each pair a byte longer and of the same window; two such pairs."""
    pairs = []
    for word in (b"the ", b"Wiki", b"<doc", b"and ", b"1980", b"of t", b"http", b"ing ", b"Unit", b"tion"):
        for end in range(1, len(word)):
            if len(point := greedy(word[:end])) == 1 and greedy(word[: end + 1]) == point:
                pairs.append((word[:end], word[: end + 1]))
                break
    for short, long in pairs:
        for other_short, other_long in pairs:
            one, other = short + b"\x01\x02" + other_long, long + b"\x01\x02" + other_short
            if one != other and greedy(one) == greedy(other):
                return one, other
    raise AssertionError("no such texts among these words")


def test_decoding_takes_one_prediction_a_byte_at_most_whatever_the_tokens_are() -> None:
    generator = np.random.default_rng(5)
    for kind in KINDS:
        for windows in (Windows(16, 8), Windows(64, 8), Windows(16, 8, delay=True)):
            model = Scripted(kind)
            code = generator.integers(0, 256, 12 * windows.window_bytes, np.uint8)
            code[: 3 * windows.window_bytes] = 0
            (data,) = coder.decode(model, windows, [code])
            assert model.asked[0] <= len(data) + 4
            assert len(data) <= 12 * windows.longest_word


def test_the_bound_on_words_is_nearly_reached() -> None:
    """By M1 that is as sure as it can be, and right."""
    windows = Windows(32, 8)
    (code,) = coder.encode(Scripted("first"), windows, [bytes(3000)])
    longest = max(
        len(coder.decode(Scripted("first"), windows, [row])[0]) for row in code.reshape(-1, windows.window_bytes)
    )
    assert 0.8 * windows.longest_word < longest <= windows.longest_word


def test_words_of_16_bits_are_a_dictionary() -> None:
    windows, model = Windows(16, 16), compgen.predictor("order2")
    words = dictionary.Dictionary(model, windows)
    assert len({words.word(point) for point in range(dictionary.WORDS)}) == dictionary.WORDS
    documents = [*DOCUMENTS, synthetic_text(3000)]
    codes = coder.encode(model, windows, documents)
    for document, code in zip(documents, codes, strict=True):
        np.testing.assert_array_equal(words.encode(document), code)
        assert words.decode(code) == document
    everything = np.arange(dictionary.WORDS).astype(">u2").view(np.uint8)
    assert words.decode(everything) == b"".join(words.word(point) for point in range(dictionary.WORDS))
    assert coder.decode(model, windows, [everything[:3000]])[0] == words.decode(everything[:3000])


def test_large_inputs_go_through_the_dictionary_and_mean_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = neuraltext.make("equal-info", model="order2", token_bits=16)
    plain = encoder.encode([TEXT])[0]
    monkeypatch.setattr(encoders, "_WORDS_PAY_BYTES", 100)
    np.testing.assert_array_equal(encoder.encode([TEXT])[0], plain)
    assert encoder.decode([plain]) == [TEXT]
    assert encoder.words() is not None  # type: ignore[attr-defined]


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_streams_of_a_transformer_start_anew(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "w"
    random_weights(path, Config(width=32, layers=2, heads=4, hidden=48, local_window=7, window=40), seed=1)
    model = compgen.predictor(f"transformer:{path},backend={backend}")
    session = model.session([b""] * 3)
    table = np.random.default_rng(0).integers(0, 256, (3, 200))
    for step in range(150):
        if step == 100:
            session.restart(np.array([2, 0]))  # type: ignore[attr-defined]
        session.push(table[:, step])
    expected = [model.session([table[i, start:150]]).probabilities()[0] for i, start in enumerate((100, 0, 100))]
    np.testing.assert_array_equal(session.probabilities(), expected)
    chosen = session.select(np.array([1, 1, 0]))  # type: ignore[attr-defined]
    chosen.push([5, 6, 7])
    following = model.session([[*table[0, 100:150], 7]]).probabilities()[0]
    np.testing.assert_array_equal(chosen.probabilities()[2], following)
    np.testing.assert_array_equal(session.probabilities(), expected)


def test_long_streams_that_start_anew_take_no_more_memory() -> None:
    model = compgen.predictor("transformer:200k")
    session = model.session([b""] * 2)
    for _ in range(40):
        session.push([1, 2])
        session.push([1, 2])
        session.push([1, 2])
        session.restart(np.array([0, 1]))  # type: ignore[attr-defined]
    assert session.caches[0].keys.shape[2] == 64  # type: ignore[attr-defined]


# --- encoders --------------------------------------------------------------------------------------------------------

SAMPLE = [TEXT, b"to be or not to be", b"\xff\xfe\0"]
SETTINGS: dict[str, dict[str, object]] = {
    "bytes": {},
    "bpe": {"vocabulary": 300},
    "gzip-8": {"token_bits": 8},
    "gzip-16": {"token_bits": 16},
    "static-ac-8": {"token_bits": 8},
    "static-ac-16": {"token_bits": 16},
    "ac-8": {"token_bits": 8},
    "ac-16": {"token_bits": 16},
    "equal-info-8": {"token_bits": 8},
    "equal-info-16": {"token_bits": 16},
    "equal-info-delay": {"token_bits": 8, "delay": True},
    "equal-info-24": {"token_bits": 16, "window_bits": 24},
    "equal-info-never": {"token_bits": 16, "window_bits": 48, "reset_model": "never"},
}


def made(name: str, model: str = "order2") -> Encoder:
    kind = next(kind for kind in encoders.KINDS if name.startswith(kind))
    options = SETTINGS[name]
    return neuraltext.make(kind, model=model, learn_from=SAMPLE, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SETTINGS)
def test_encoders_are_lossless_and_saved_whole(name: str, tmp_path: Path) -> None:
    encoder = made(name)
    encoder.save(tmp_path / "encoder.json")
    again = Encoder.load(tmp_path / "encoder.json")
    assert again.as_dict() == encoder.as_dict()
    assert again.label == encoder.label
    tokens = encoder.encode(DOCUMENTS)
    assert [ids.tolist() for ids in again.encode(DOCUMENTS)] == [ids.tolist() for ids in tokens]
    assert again.decode(tokens) == DOCUMENTS
    assert all(ids.dtype == encoder.token_type for ids in tokens)
    assert max((int(ids.max()) for ids in tokens if len(ids)), default=0) < encoder.vocab_size


@settings(max_examples=40, deadline=None)
@given(documents=st.lists(st.binary(max_size=200), max_size=4), name=st.sampled_from(list(SETTINGS)))
def test_any_bytes_come_back_from_every_encoder(documents: list[bytes], name: str) -> None:
    encoder = kept(name)
    assert encoder.decode(encoder.encode(documents)) == documents


kept = cache(made)
#: What tokens mean never changes; made by scripts/make_golden_tokens.py.
GOLDEN = Path(__file__).parent / "golden" / "neuraltext.json"


@pytest.mark.parametrize("name", SETTINGS)
def test_golden_tokens(name: str) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[name]
    assert golden["encoder"] == made(name).as_dict()
    encoder = encoders.from_dict(golden["encoder"])
    data = golden["text"].encode("latin-1")
    assert encoder.decode([golden["tokens"]]) == [data]
    if not name.startswith("gzip"):  # which depends on the library
        assert encoder.encode([data])[0].tolist() == golden["tokens"]


def test_golden_tokens_of_the_shipped_model() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))["200k"]
    encoder = encoders.from_dict(golden["encoder"])
    assert encoder.encode([golden["text"].encode("latin-1")])[0].tolist() == golden["tokens"]
    assert encoder.decode([golden["tokens"]]) == [golden["text"].encode("latin-1")]


@pytest.mark.parametrize(
    ("name", "tokens", "said"),
    [
        ("equal-info-8", [1, 2, 256, 4], "token 256 at place 2 is not in a vocabulary of 256"),
        ("equal-info-16", [-1], "token -1 at place 0 is not in a vocabulary of 65536"),
        ("bpe", [299, 300], "token 300 at place 1"),
        ("bytes", [300], "token 300"),
        ("equal-info-8", [1, 2, 3], "3 tokens end within a window of 16 bits: the stream is cut"),
        ("equal-info-never", [1, 2, 3, 4], "4 tokens end within a window of 48 bits"),
        ("equal-info-24", [1, 2], "2 tokens end within a window of 24 bits"),
        ("equal-info-24", [1, 513], "2 tokens end within a window of 24 bits"),
        ("ac-8", [], "no length at the end"),
        ("ac-8", [255], "no length at the end"),
        ("ac-8", [1, 2, 255, 255, 3], "cannot stand for|check fails"),
        ("static-ac-8", [7, 7, 7, 2], "check fails"),
    ],
)
def test_bad_tokens_are_refused(name: str, tokens: list[int], said: str) -> None:
    with pytest.raises(CorruptDataError, match=said):
        made(name).decode([tokens])


@pytest.mark.parametrize("name", ["ac-8", "ac-16", "static-ac-16", "gzip-8", "gzip-16"])
def test_cut_streams_are_refused(name: str) -> None:
    encoder = made(name)
    tokens = encoder.encode([TEXT[:400]])[0]
    for cut in (1, 2, 5, len(tokens) // 2):
        with pytest.raises(CorruptDataError):
            encoder.decode([tokens[:-cut]])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"window_bits": 8}, "too narrow: a byte can need 15"),
        ({"window_bits": 16, "precision_bits": 16}, "too narrow: a byte can need 17"),
        ({"window_bits": 20}, "whole number of bytes"),
        ({"token_bits": 12}, "8 or 16 bits, not 12"),
        ({"window_bits": 8192}, "up to 4096"),
        ({"reset_model": "sometimes"}, "every, alternate, never"),
        ({"delay": True, "reset_model": "never"}, "M1 must start anew"),
        ({"precision_bits": 30}, "from 9 to 24"),
        ({"model": "gzip"}, "gzip is not exact"),
        ({"model": "no-such-model"}, "unknown"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(CompgenError, match=said):
        neuraltext.make("equal-info", **{"model": "order2", **options})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unknown encoder"):
        neuraltext.make("morse")


def test_another_m1_is_refused(tmp_path: Path) -> None:
    config = Config(width=32, layers=1, heads=4, hidden=32, local_window=7, window=40)
    for seed in (1, 2):
        random_weights(tmp_path / f"w{seed}", config, seed=seed)
    encoder = neuraltext.make("equal-info", model=f"transformer:{tmp_path / 'w1'}")
    encoder.save(tmp_path / "e.json")
    (tmp_path / "w1").rename(tmp_path / "moved")
    assert Encoder.load(tmp_path / "e.json", f"transformer:{tmp_path / 'moved'}").as_dict()["kind"] == "equal-info"
    with pytest.raises(BadInputError, match=r"made with another M1: .* with weights '\w{16}'"):
        Encoder.load(tmp_path / "e.json", f"transformer:{tmp_path / 'w2'}")
    with pytest.raises(BadInputError, match="made with another M1"):
        Encoder.load(tmp_path / "e.json", "order2")
    (tmp_path / "w2").rename(tmp_path / "w1")
    with pytest.raises(BadInputError, match="made with another M1"):
        Encoder.load(tmp_path / "e.json")
    made("equal-info-8").save(tmp_path / "o.json")
    with pytest.raises(BadInputError, match="another M1: order2, not order3"):
        Encoder.load(tmp_path / "o.json", "order3")
    assert m1.identity(compgen.predictor("cm"))["numerics"] == "cm model 2"


def test_damaged_encoders_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    for name in SETTINGS:
        good = made(name).as_dict()
        for change in [{"format": "x"}, {"version": 2}, {"kind": "morse"}, *({key: None} for key in list(good)[3:])]:
            path.write_text(json.dumps({**good, **change}), encoding="utf-8")
            with pytest.raises(CompgenError):
                Encoder.load(path)
    for text in ("", "[]", "{", "null", "1" * 5000):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(BadInputError):
            Encoder.load(path)
    with pytest.raises(BadInputError, match="cannot read"):
        Encoder.load(tmp_path / "none.json")


def test_a_length_that_no_code_can_have_takes_no_time() -> None:
    frame = arithmetic.framed(b"x", bytes(10), 1)
    with pytest.raises(CorruptDataError, match="cannot stand for"):
        made("ac-8").decode([list(frame[:-1]) + [255, 255, 255, 255, 31][::-1]])


# --- rates -----------------------------------------------------------------------------------------------------------


def test_rates_are_ordered_as_in_the_paper(real_data: Path) -> None:
    """On text that the shipped model has not seen; the goal is the paper's order, and roughly its proportions."""
    from compgen.datasets.reading import read_file

    text = read_file(real_data / "text" / "web_ud_ewt_train.xz")[-16_000:]
    documents = [text[start : start + 500] for start in range(0, len(text), 500)]

    def rate(**options: object) -> float:
        encoder = neuraltext.make("equal-info", **options)  # type: ignore[arg-type]
        return len(text) / sum(map(len, encoder.encode(documents)))

    by_width = [rate(window_bits=bits) for bits in (16, 24, 32, 64)]
    assert by_width == sorted(by_width)
    theirs = [float(paper.row(_described(bits), 256)["bytes_per_token"]) for bits in (16, 24, 32, 64)]
    np.testing.assert_allclose(np.array(by_width) / by_width[-1], np.array(theirs) / theirs[-1], rtol=0.15)
    assert rate(window_bits=16, token_bits=16) == pytest.approx(2 * by_width[0])
    assert rate(window_bits=16, delay=True) < by_width[0] < rate(window_bits=16, reset_model="alternate")


def _described(bits: int) -> dict[str, object]:
    return {"kind": "equal-info", "window_bits": bits, "delay": False, "reset_model": "every"}


def test_the_papers_table() -> None:
    rows = paper.table()
    assert len(rows) == 18
    assert paper.row(_described(16), 65536)["bpb_25m"] == "1.25"
    assert paper.row({**_described(16), "delay": True}, 256) == {}
    assert paper.row({"kind": "bpe"}, 300)["method"] == "sentencepiece"
    for row in rows:  # the invariant of REFERENCE: a uniform model costs 8 / (bytes per token at 256)
        if row["method"].startswith("equal-info") and row["vocab"] == "65536":
            narrow = next(r for r in rows if r["method"] == row["method"] and r["vocab"] == "256")
            assert 16 / float(row["bytes_per_token"]) == pytest.approx(8 / float(narrow["bytes_per_token"]), rel=0.004)


# --- shards ----------------------------------------------------------------------------------------------------------


def prepared(folder: Path, documents: list[bytes], name: str = "equal-info-8", **options: int) -> corpus.Shards:
    return corpus.prepare(made(name), documents, folder, **options)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_shards_hold_the_tokens_of_all_documents(tmp_path: Path) -> None:
    documents = [TEXT[i : i + 100] for i in range(0, 1500, 100)] + [b"", b"\xff" * 7]
    shards = prepared(tmp_path / "s", documents, shard_bytes=300)
    assert len(shards.manifest["shards"]) == 6
    encoder = shards.encoder()
    assert encoder.decode([ids for ids, _ in shards.documents()]) == documents
    assert [length for _, length in shards.documents()] == [len(document) for document in documents]
    assert shards.manifest["bytes"] == sum(map(len, documents))
    assert shards.bytes_per_token == shards.manifest["bytes"] / len(shards.tokens())
    assert isinstance(shards.shard(0)[0], np.memmap)
    shards.verify()
    with compgen.jobs(2):
        prepared(tmp_path / "two", documents, shard_bytes=300)
    assert contents(tmp_path / "two") == contents(tmp_path / "s")
    assert prepared(tmp_path / "s", documents, shard_bytes=300).manifest == shards.manifest  # nothing is left to do


def test_shards_of_something_else_and_damage_are_told(tmp_path: Path) -> None:
    documents = [TEXT[:500], TEXT[500:900]]
    shards = prepared(tmp_path / "s", documents, shard_bytes=400)
    with pytest.raises(BadInputError, match="of another encoder"):
        prepared(tmp_path / "s", documents, "equal-info-16", shard_bytes=400)
    with pytest.raises(BadInputError, match="made of other data"):
        prepared(tmp_path / "s", documents[::-1], shard_bytes=400)
    with pytest.raises(BadInputError, match="nothing to encode"):
        prepared(tmp_path / "empty", [])
    with pytest.raises(BadInputError, match="goes on where it was stopped"):
        _ = corpus.Shards(tmp_path / "empty")
    path = tmp_path / "s" / "shard-00001.tokens"
    good = path.read_bytes()
    path.write_bytes(good[:-3] + b"abc")
    with pytest.raises(CorruptDataError, match=r"shard-00001\.tokens is damaged"):
        shards.verify()
    path.write_bytes(good[:-3])
    with pytest.raises(CorruptDataError, match="cut or damaged"):
        shards.tokens()


def test_pieces_cut_skip_and_stop(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(100)))
    (tmp_path / "b.jsonl").write_text('{"text": "xyz"}\n', encoding="utf-8")
    names = [str(tmp_path / "a"), str(tmp_path / "b.jsonl")]
    assert list(corpus.pieces(names, 60)) == [bytes(range(60)), bytes(range(60, 100)), b"xyz"]
    assert b"".join(corpus.pieces(names, 7, skip=95, limit=6)) == bytes(range(95, 100)) + b"x"
    assert list(corpus.pieces(names, 60, limit=10)) == [bytes(range(10))]
    assert b"".join(corpus.pieces(names, 60, skip=101)) == b"yz"
    with pytest.raises(UsageError, match="at least 1 byte"):
        list(corpus.pieces(names, 0))


@posix
def test_preparing_goes_on_after_sigkill(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(synthetic_text(24_000))
    arguments = ["neuraltext", "prepare", "text", "--model", "order2", "--window", "32"]
    arguments += ["--document-bytes", "500", "--shard-bytes", "1000"]
    command = [sys.executable, "-m", "compgen", *arguments, "-o", "s"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("s/shard-00002.json")):
        assert time.monotonic() < deadline
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = tmp_path / "s" / "shard-00000.tokens"
    made_at = first.stat().st_mtime_ns
    assert not (tmp_path / "s" / "manifest.json").exists()
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert first.stat().st_mtime_ns == made_at
    subprocess.run([*command[:-1], "whole"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    resumed = {name: data for name, data in contents(tmp_path / "s").items() if not name.endswith(".tmp")}
    assert resumed == contents(tmp_path / "whole")


# --- M2 and analyses -------------------------------------------------------------------------------------------------


def test_m2_learns_tokens_and_reports_them(tmp_path: Path) -> None:
    learning = pytest.importorskip("compgen.neuraltext.learning")
    documents = [synthetic_text(2000, seed) for seed in range(16)]
    shards = prepared(tmp_path / "s", documents[:14])
    held_out = prepared(tmp_path / "h", documents[14:])
    trainer = learning.trainer(
        shards,
        held_out,
        changes="width=32,layers=1,hidden=32,heads=4",
        recipe=learning.recipe(steps=60, batch_tokens=512, context=128),
    )
    result = learning.run(trainer, shards, tmp_path / "run", chunks=8)
    assert result == json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert result["uniform_bits_per_byte"] == pytest.approx(8 / held_out.bytes_per_token)
    assert result["bits_per_byte"] == pytest.approx(result["bits_per_token"] / held_out.bytes_per_token)
    assert result["bits_per_token"] < 0.9 * 8
    assert [row["position"] for row in result["by_position"]] == [0, 1]
    bits = np.mean([row["bits_per_token"] for row in result["by_position"]])
    assert bits == pytest.approx(result["bits_per_token"])
    (row,) = paper.beside([result])
    assert row["paper_bytes_per_token"] == 2.66
    assert row["part_of_uniform"] == pytest.approx(result["bits_per_token"] / 8)
    with pytest.raises(UsageError, match="another encoder"):
        learning.trainer(shards, prepared(tmp_path / "o", documents[14:], "equal-info-16"))
    with pytest.raises(BadInputError, match="tokens are held out, less than a context"):
        learning.trainer(shards, recipe=learning.recipe(10, 4096, 4096))


def test_m2_of_65536_tokens(tmp_path: Path) -> None:
    learning = pytest.importorskip("compgen.neuraltext.learning")
    shards = prepared(tmp_path / "s", [synthetic_text(3000)], "equal-info-16")
    trainer = learning.trainer(
        shards,
        changes="width=16,layers=1,hidden=16,heads=2",
        recipe=learning.recipe(steps=2, batch_tokens=64, context=16),
    )
    result = learning.run(trainer, shards, tmp_path / "run", chunks=2)
    assert result["uniform_bits_per_token"] == 16
    assert 0 < result["bits_per_token"] < 17
    assert (tmp_path / "run" / "weights.safetensors").stat().st_size > 65536 * 16 * 4


def test_code_lengths_of_simple_models() -> None:
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, 200_000).astype(np.uint8)
    assert analysis.unigram_bits(noise[:150_000], noise[150_000:], 256) == pytest.approx(8, abs=0.01)
    assert analysis.bigram_bits(noise[:150_000], noise[150_000:], 256) > 7.99
    turns = np.tile(np.array([3, 9], np.uint16), 5000)
    assert analysis.unigram_bits(turns[:9000], turns[9000:], 65536) == pytest.approx(
        -np.log2(4500.5 / (9000 + 32768)), abs=1e-9
    )
    assert analysis.bigram_bits(turns[:9000], turns[9000:], 65536) < 0.01
    # Witten and Bell by hand: after a: b twice, c once; new: a d.
    known = np.array([0, 1, 0, 1, 0, 2], np.uint8)
    single = (0 + 0.5) / (6 + 2)
    expected = -np.log2((0 + 2 * single) / (3 + 2))
    assert analysis.bigram_bits(known, np.array([0, 3], np.uint8), 4) == pytest.approx(expected)


def test_stability_tells_windows_from_plain_arithmetic_coding() -> None:
    documents, names = [TEXT[:400], TEXT[400:900]], ("bytes", "equal-info-16", "ac-8")
    same = {name: analysis.stability(made(name), documents)["same_tokens"] for name in names}
    assert same["bytes"] == 1
    assert same["equal-info-16"] > 0.9
    assert same["ac-8"] < 0.05
    often = {name: analysis.repetition(made(name), [TEXT[:900]], 12)["same_word"] for name in names}
    assert often["bytes"] == 1
    assert often["equal-info-16"] > 0.7 > often["ac-8"]


def test_statistics_of_shards(tmp_path: Path) -> None:
    documents = [synthetic_text(2000, seed) for seed in range(8)]
    shards, held_out = prepared(tmp_path / "s", documents[:6]), prepared(tmp_path / "h", documents[6:])
    found = analysis.statistics(shards, held_out)
    assert found["uniform_bits_per_byte"] == pytest.approx(8 / held_out.bytes_per_token)
    assert found["bigram_bits_per_token"] < found["unigram_bits_per_token"] < found["uniform_bits_per_token"] == 8
    assert analysis.statistics(shards)["held_out_tokens"] == len(shards.tokens()) // 10
    with pytest.raises(BadInputError, match="too few"):
        analysis.statistics(prepared(tmp_path / "few", [b"a"]))


# --- the tokenizer ---------------------------------------------------------------------------------------------------


def test_a_tokenizer_of_the_library(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from compgen.neuraltext.huggingface import Tokenizer

    encoder = made("equal-info-16")
    tokenizer = Tokenizer(encoder, eos_token="</s>", pad_token="<pad>")
    text = "to be  or not to be ,\n\tünïcødé \U0001f600 \x00"
    ids = tokenizer(text)["input_ids"]
    assert ids == encoder.encode([text.encode()])[0].tolist()
    assert tokenizer.decode(ids) == text
    assert tokenizer.vocab_size == 65536
    assert len(tokenizer) == 65538
    tokenizer.save_pretrained(tmp_path)
    again = Tokenizer.from_pretrained(tmp_path)
    assert again.decode(again(text)["input_ids"]) == text
    assert again.eos_token_id == tokenizer.eos_token_id
    batch = again(["a", "some more"], padding=True)["input_ids"]
    assert again.batch_decode(batch, skip_special_tokens=True) == ["a", "some more"]
    assert isinstance(again.decode([1, 2, 60000]), str)
    with pytest.raises(ValueError, match="encoder"):
        Tokenizer()


# --- files of tokens and commands ------------------------------------------------------------------------------------


def test_files_of_tokens_are_checked() -> None:
    data = tokenfile.packed(made("equal-info-8"), [TEXT[:200], b"", TEXT[200:300]])
    assert tokenfile.unpacked(data) == TEXT[:300]
    for place in range(0, len(data), 7):
        with pytest.raises(CompgenError):
            tokenfile.unpacked(data[:place])
    damaged = bytearray(data)
    damaged[-5] ^= 1
    with pytest.raises(CorruptDataError, match="damaged"):
        tokenfile.unpacked(bytes(damaged))
    with pytest.raises(BadInputError, match="not a file of tokens"):
        tokenfile.unpacked(b"something else")


def test_the_installed_program_goes_through_pipes(tmp_path: Path) -> None:
    data = synthetic_text(3000) + bytes(range(256))
    tokens = run("neuraltext", "encode", "-", "--model", "order2", stdin=data)
    assert (tokens.returncode, tokens.stderr) == (0, b"")
    assert run("neuraltext", "decode", "-", stdin=tokens.stdout).stdout == data
    cut = run("neuraltext", "decode", "-", stdin=tokens.stdout[:-1])
    assert (cut.returncode, cut.stdout) == (1, b"")
    assert b"standard input has" in cut.stderr


def test_commands_from_text_to_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_bytes(synthetic_text(20_000))

    def ok(*arguments: str) -> bytes:
        capsysbinary.readouterr()
        code = cli._run(["neuraltext", *arguments])
        out, err = capsysbinary.readouterr()
        assert (code, err) == (0, b"")
        return out

    ids = ok("encode", "text", "--encoder", "static-ac", "--ids", "--document-bytes", "9000").decode().splitlines()
    assert len(ids) == 3
    assert all(0 <= int(i) < 256 for i in ids[0].split())
    options = ("--model", "order2", "--shard-bytes", "8K")
    shards = json.loads(ok("prepare", "text", "-o", "s", "--limit", "18K", *options, "--json"))
    assert shards["bytes"] == 18 << 10
    ok("prepare", "text", "-o", "h", "--skip", "18K", "--encoder-file", "s/encoder.json", "--quiet")
    found = json.loads(ok("analyze", "s", "--held-out", "h", "--text", "text", "--json"))
    assert found["bigram_bits_per_token"] < 8
    shape = ("--shape", "width=16,layers=1,hidden=16,heads=2", "--context", "32", "--batch-tokens", "64")
    result = json.loads(ok("train", "s", "--held-out", "h", "-o", "run", "--steps", "2", *shape, "--json"))
    assert result["steps"] == 2
    assert b"equal-info-16" in ok("report", "run", "run")
    assert json.loads(ok("report", "run", "--json"))[0]["paper_bits_per_byte_25m"] == 1.47


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["encode", "none"], 1, "cannot read none"),
        (["encode", "text", "--window", "8"], 2, "too narrow"),
        (["encode", "text", "--encoder", "morse"], 2, "unknown encoder 'morse'"),
        (["encode", "text", "--ids", "-o", "x"], 2, "leave out -o"),
        (["encode", "text", "--document-bytes", "0"], 2, "at least 1"),
        (["decode", "text"], 1, "not a file of tokens"),
        (["report", "text"], 1, "train writes it at its end"),
        (["analyze", "text"], 1, "prepare makes it"),
        (["train", "text", "-o", "x"], 1, "prepare makes it"),
        (["prepare", "text", "-o", "x", "--model", "gzip"], 2, "not exact"),
    ],
)
def test_commands_say_what_is_wrong(
    arguments: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_bytes(TEXT)
    assert cli._run(["neuraltext", *arguments]) == code
    errors = capsys.readouterr().err
    assert said in errors
    assert len(errors.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_every_command_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for name in commands.commands:
        assert cli._run(["neuraltext", name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert f"compgen neuraltext {name} " in shown.partition("Examples:")[2]
        assert all(len(line) <= 100 for line in shown.splitlines())


@pytest.mark.slow
def test_ten_megabytes_of_text_and_binary_come_back(real_data: Path) -> None:
    from compgen.datasets.reading import read_file

    parts = [read_file(path)[:1_500_000] for path in sorted((real_data / "text").glob("*.xz"))[:4]]
    parts += [path.read_bytes() for path in sorted((real_data / "image").glob("*.JPEG"))[:20]]
    parts += [np.random.default_rng(0).bytes(1_000_000), bytes(1_000_000)]
    data = b"".join(parts)[:10_000_000]
    documents = [data[start : start + 10_240] for start in range(0, len(data), 10_240)]
    encoder = neuraltext.make("equal-info", token_bits=16)
    assert encoder.decode(encoder.encode(documents)) == documents
