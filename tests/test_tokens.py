"""Transformers over tokens: byte pairs, their place in weight files, blocks coded as tokens, sessions over bytes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from test_transformer import random_weights

import compgen
from compgen.cli import cli
from compgen.coding.payload import leb128
from compgen.datasets import default_context
from compgen.errors import BadInputError, CorruptDataError, UsageError
from compgen.predictors._covering import Trie
from compgen.predictors.transformer import bpe, weights
from compgen.predictors.transformer.bpe import BytePairs
from compgen.predictors.transformer.config import Config
from compgen.predictors.transformer.predictor import Transformer

TEXT = default_context()


def pairs_of(*tokens: bytes) -> BytePairs:
    """A vocabulary with these tokens, each made of two that are known by then, the longer one first."""
    numbers = {bytes((byte,)): byte for byte in range(256)}
    merges = []
    for token in tokens:
        cut = next(i for i in range(len(token) - 1, 0, -1) if token[:i] in numbers and token[i:] in numbers)
        merges.append((numbers[token[:cut]], numbers[token[cut:]]))
        numbers[token] = len(numbers)
    return BytePairs(merges)


PAIRS = pairs_of(
    b" a", b"th", b" th", b" the", b"he", b"in", b"ing", b"er", b"aa", b"aaaa", b"\xff\xfe", b"\n\n", b"12", b"</"
)  # fmt: skip
CONFIG = Config(vocabulary=len(PAIRS), width=32, layers=2, heads=4, hidden=48, local_window=7, window=40)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    target = tmp_path_factory.mktemp("weights") / "tokens.safetensors"
    random_weights(target, CONFIG, seed=3, pairs=PAIRS)
    return str(target)


# --- byte pairs ------------------------------------------------------------------------------------------------------


@given(data=st.binary(max_size=500) | st.text("the aing12\n</", max_size=500).map(str.encode))
def test_any_bytes_come_back(data: bytes) -> None:
    tokens = PAIRS.encode(data)
    assert tokens.dtype == np.uint16
    assert PAIRS.decode(tokens) == data
    assert PAIRS.bytes_of(tokens) == len(data)


def plain_merges(word: bytes, pairs: BytePairs) -> list[int]:
    """The definition: the earliest merge that applies anywhere, at the leftmost place, until none does."""
    tokens, numbers = list(word), {data: token for token, data in enumerate(pairs.tokens)}
    while True:
        adjacent = list(pairwise(tokens))
        first = next((pair for pair in pairs.merges if pair in adjacent), None)
        if first is None:
            return tokens
        place = adjacent.index(first)
        tokens[place : place + 2] = [numbers[pairs.tokens[first[0]] + pairs.tokens[first[1]]]]


@st.composite
def vocabularies(draw: st.DrawFn) -> BytePairs:
    """Merges of any kind over a few letters, some of which make the same token in two ways."""
    merges, tokens = list[tuple[int, int]](), [b"a", b"b", b"c"]
    numbers = {token: token[0] for token in tokens}
    for _ in range(draw(st.integers(0, 14))):
        left, right = (draw(st.sampled_from(tokens)) for _ in range(2))
        pair = numbers[left], numbers[right]
        if pair not in merges and len(left + right) <= bpe.MAX_TOKEN_BYTES:
            merges.append(pair)
            if left + right not in numbers:
                tokens.append(left + right)
                numbers[left + right] = 256 + len(tokens) - 4
    return BytePairs(merges)


@given(pairs=vocabularies(), word=st.text("abc", min_size=1, max_size=40).map(str.encode))
def test_words_are_merged_as_defined(pairs: BytePairs, word: bytes) -> None:
    assert pairs.encode(word).tolist() == plain_merges(word, pairs)


@given(st.binary(max_size=400) | st.text(" \n\x80a1<", max_size=400).map(lambda text: text.encode("latin-1")))
def test_words_are_short_and_leave_nothing_out(data: bytes) -> None:
    words = re.findall(bpe.WORDS.encode(), data, re.DOTALL)
    assert b"".join(words) == data
    assert max(map(len, words), default=0) <= bpe.WORD_BYTES + 1


def test_tokens_do_not_go_across_words_and_long_runs_are_cut() -> None:
    assert [PAIRS.tokens[token] for token in PAIRS.encode(b"the thing a12</")] == [
        b"th", b"e", b" th", b"ing", b" a", b"12", b"</"
    ]  # fmt: skip
    run = PAIRS.encode(b"a" * 1_000_003)
    assert len(run) == 250_002  # of four, the last three as two and one
    assert len(PAIRS.encode(b"")) == 0


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ([(97, 256)], "not of two tokens made before it"),
        ([(-1, 97)], "not of two tokens"),
        ([(97, 98.0)], "not of two tokens"),
        ([(97, True)], "not of two tokens"),
        ([("a", "b")], "not of two tokens"),
        ([(97, 98), (97, 98)], "there already"),
        ([(97, 97), *((n, n) for n in range(256, 263))], "over 64 bytes"),
        ([(a, b) for a in range(256) for b in range(256)], "65792 tokens"),
    ],
)
def test_merges_that_are_none_are_refused(merges: list[tuple[int, int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BytePairs(merges)


def test_two_ways_to_the_same_bytes_are_one_token() -> None:
    pairs = BytePairs([(97, 98), (98, 99), (256, 99), (97, 257)])
    assert pairs.tokens[256:] == (b"ab", b"bc", b"abc")
    assert pairs.encode(b"abc").tolist() == [258]
    assert BytePairs(pairs.merges) == pairs != PAIRS


def test_it_equals_the_library() -> None:
    pytest.importorskip("tokenizers", reason="needs the extra lm")
    from compgen.predictors.transformer.bpe_training import learn, library_tokenizer

    source = Path(__file__).read_bytes() + TEXT + bytes(range(256)) * 3
    learnt = learn([np.frombuffer(source, np.uint8)], 600)
    assert len(learnt) == 600
    assert learn([np.frombuffer(source, np.uint8)], 600) == learnt
    random = np.random.default_rng(0)
    samples = [source, b"a" * 5000, b" " * 5000 + b"x", Path(bpe.__file__).read_bytes()]
    samples += [random.integers(0, 256, size, np.uint8).tobytes() for size in range(0, 2000, 97)]
    samples += [
        random.choice(np.frombuffer(b" \n\t\x00\x7f\x80\xffthe12<>", np.uint8), 900).tobytes() for _ in range(20)
    ]
    for pairs in (learnt, PAIRS):
        library = library_tokenizer(pairs)
        for sample in samples:
            assert pairs.encode(sample).tolist() == library.encode(sample.decode("latin-1")).ids


def test_vocabularies_that_cannot_be_learnt() -> None:
    pytest.importorskip("tokenizers", reason="needs the extra lm")
    from compgen.predictors.transformer.bpe_training import learn

    for size in (0, 256, 65536):
        with pytest.raises(UsageError, match="from 257 to 65535 tokens"):
            learn([np.zeros(9, np.uint8)], size)
    assert len(learn([np.frombuffer(b"abab cdcd", np.uint8)], 1000)) < 265  # no more pairs occur twice


# --- weight files ----------------------------------------------------------------------------------------------------


def test_the_vocabulary_is_in_the_weight_file_and_its_digest(path: str, tmp_path: Path) -> None:
    loaded = weights.load(Path(path))
    assert loaded.pairs == PAIRS
    random_weights(tmp_path / "other", CONFIG, seed=3, pairs=BytePairs([*PAIRS.merges[:-1], (98, 99)]))
    other = weights.load(tmp_path / "other")
    assert other.sha256 != loaded.sha256
    np.testing.assert_array_equal(other.tensors["embedding"], loaded.tensors["embedding"])
    random_weights(tmp_path / "bytes", Config(width=16, layers=1, heads=1, hidden=16))
    assert weights.load(tmp_path / "bytes").pairs is None


@pytest.mark.parametrize(
    "merges",
    ["[", "{}", "7", "[97]", '["a","b"]', "[97,256]", "[97,98]", "[97,98,97,98]", "[1e9,1]", "[[97,98]]", "[null,1]"],
)
def test_damaged_vocabularies_are_refused(path: str, merges: str) -> None:
    content = Path(path).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"]["merges"] = merges
    text = json.dumps(header).encode()
    with pytest.raises(BadInputError, match="damaged, or not a weight file"):
        weights.parse(len(text).to_bytes(8, "little") + text + content[8 + length :], "w")


# --- blocks ----------------------------------------------------------------------------------------------------------


@given(data=st.binary(min_size=1, max_size=300) | st.text(" then12\n", min_size=1).map(str.encode))
@settings(max_examples=25, deadline=None)
def test_blocks_round_trip(path: str, data: bytes) -> None:
    for streams in (0, 3):
        model = Transformer(path, streams=streams)
        assert model.decode_block(model.encode_block(data), len(data)) == data


def test_archives_of_one_backend_decode_with_the_other(path: str) -> None:
    pytest.importorskip("torch", reason="needs the extra lm")
    one, other = (
        compgen.compress(TEXT[:1500], f"transformer:{path},streams=3{more}") for more in ("", ",backend=torch")
    )
    assert one == other
    assert compgen.decompress(one, f"transformer:{path},streams=3,backend=torch") == TEXT[:1500]


def test_using_a_vocabulary_takes_no_library(path: str) -> None:
    program = """
import sys
for name in ("torch", "tokenizers", "transformers", "safetensors"):
    sys.modules[name] = None
import compgen
spec = "transformer:" + sys.argv[1]
assert compgen.decompress(compgen.compress(b"the thing " * 9, spec), spec) == b"the thing " * 9
assert len(compgen.predictor(spec).code_lengths([b"the"])[0]) == 3
"""
    subprocess.run([sys.executable, "-c", program, path], check=True)


def test_archives_say_that_they_hold_tokens(path: str) -> None:
    import io

    from compgen.archive.reader import summarise

    archive = compgen.compress(b"the then thing " * 9, f"transformer:{path}")
    header = summarise(io.BytesIO(archive)).header
    assert header.numerics == "transformer fixed point 1, tokens 1"
    assert header.weights == weights.load(Path(path)).sha256


def test_damaged_blocks_raise_or_decode_to_something(path: str) -> None:
    model = Transformer(path)
    code = model.encode_block(TEXT[:300])
    for wrong in (b"", b"\x80", leb128(0) + code[2:], leb128(301) + code[2:], leb128(1 << 60)):
        with pytest.raises(CorruptDataError):
            model.decode_block(wrong, 300)
    with pytest.raises(CorruptDataError, match="not as long as the block"):
        model.decode_block(code, 299)
    random = np.random.default_rng(1)
    for _ in range(20):
        damaged = bytearray(code)
        damaged[random.integers(len(code))] ^= 1 << random.integers(8)
        with suppress(CorruptDataError):
            assert len(model.decode_block(bytes(damaged), 300)) == 300


def test_progress_is_counted_in_bytes(path: str) -> None:
    seen: list[int] = []
    model = Transformer(path)
    code = model.encode_block(TEXT[:500], seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 500
    seen.clear()
    model.decode_block(code, 500, seen.append)
    assert seen[-1] == 500


# --- sessions over bytes ---------------------------------------------------------------------------------------------


@lru_cache
def next_token(path: str, tokens: tuple[int, ...]) -> np.ndarray:
    return Transformer(path)._model(0).session([tokens]).next[0]


def mass(path: str, data: bytes, tokens: tuple[int, ...] = ()) -> float:
    """The probability that a text begins with ``data``, given tokens before it: over all coverings, by recursion."""
    following, total = next_token(path, tokens), 0.0
    for token, written in enumerate(PAIRS.tokens):
        if written.startswith(data):
            total += following[token]
        elif data.startswith(written):
            total += following[token] * mass(path, data[len(written) :], (*tokens, token))
    return total


@pytest.mark.parametrize("data", [b"", b"the", b" the", b"aaaaa", b"\xff\xfein"])
def test_a_byte_has_the_probability_of_all_its_tokenisations(path: str, data: bytes) -> None:
    session = compgen.predictor(f"transformer:{path},beam=0").session([data])
    expected = np.array([mass(path, data + bytes((byte,))) for byte in range(256)]) / mass(path, data)
    np.testing.assert_allclose(session.probabilities()[0], expected, rtol=1e-6, atol=1e-9)


def test_sessions_do_not_depend_on_company(path: str) -> None:
    predictor = compgen.predictor(f"transformer:{path}")
    assert predictor.alphabet_size == 256
    contexts = [b"the quick", b"", TEXT[:700], b"the lazy!"]
    together = predictor.session(contexts)
    alone = [predictor.session([context]) for context in contexts]
    twin = together.fork()
    for symbols in (b"tha ", b"hein"):
        expected = np.concatenate([session.probabilities() for session in alone])
        np.testing.assert_array_equal(together.probabilities(), expected)
        together.push(symbols)
        for session, symbol in zip(alone, symbols, strict=True):
            session.push([symbol])
    np.testing.assert_array_equal(twin.probabilities()[1], predictor.session([b""]).probabilities()[0])


def test_sessions_are_exact_whatever_computes_them(path: str) -> None:
    pytest.importorskip("torch", reason="needs the extra lm")
    plain, other = (compgen.predictor(f"transformer:{path}{more}") for more in ("", ",backend=torch"))
    sessions = [predictor.session([TEXT[:300], b"th"]) for predictor in (plain, other)]
    for symbols in (b"th", b"he", b"ei"):
        np.testing.assert_array_equal(*(session.probabilities() for session in sessions))
        for session in sessions:
            session.push(symbols)


def test_code_lengths_are_those_of_the_sessions(path: str) -> None:
    predictor = compgen.predictor(f"transformer:{path}")
    streams, contexts, seen = [b"the thing", b"", b"in"], [b"", b"x", b"general th"], []
    found = predictor.code_lengths(streams, contexts, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (11, 11)
    for stream, context, lengths in zip(streams, contexts, found, strict=True):
        session, expected = predictor.session([context]), []
        for symbol in stream:
            expected.append(-np.log2(session.probabilities()[0, symbol]))
            session.push([symbol])
        np.testing.assert_allclose(lengths, expected, rtol=1e-12)


def test_the_sum_over_tokenisations_is_never_behind_one_of_them(path: str) -> None:
    data = TEXT[:400]
    model = compgen.predictor(f"transformer:{path},beam=32")
    assert model.code_lengths([data])[0].sum() < 8 * len(Transformer(path).encode_block(data)) + 1


def test_mixtures_of_bytes_take_it(path: str) -> None:
    spec = f"mix(order2,transformer:{path}):method=logistic"
    assert compgen.decompress(compgen.compress(b"the then thing " * 4, spec), spec) == b"the then thing " * 4
    with pytest.raises(UsageError, match="beam must be"):
        Transformer(path, beam=-1)
    assert compgen.predictor(f"transformer:{path},beam=3").spec == f"transformer:{path},beam=3"


def test_places_in_the_trie() -> None:
    trie = Trie([b"", b"a", b"ab", b"b", b"abc"])
    assert [trie.longest(data) for data in (b"abd", b"ac", b"c")] == [2, 1, None]
    assert trie.join([1, 3, 4]) == b"ababc"


# --- training --------------------------------------------------------------------------------------------------------

SMALL = ["--shape=width=32,layers=1,heads=2,hidden=32", "--batch-symbols=256", "--context=128", "--threads=1"]


def test_the_command_trains_on_tokens(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra lm")
    notes, out = tmp_path / "notes.txt", tmp_path / "run"
    notes.write_bytes(TEXT * 8)
    arguments = ["train", str(notes), "--out", str(out), "--vocabulary", "300", "--held-out", "0.3", *SMALL]
    done = CliRunner().invoke(cli, [*arguments, "--steps", "3", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert report["vocabulary"] == 300
    per_symbol, per_byte = (report[f"held_out_bits_per_{unit}"][str(notes)] for unit in ("symbol", "byte"))
    assert 1.1 < per_symbol / per_byte < 3  # bytes a token
    first = (out / "weights.safetensors").read_bytes()
    assert CliRunner().invoke(cli, [*arguments, "--steps", "3"]).exit_code == 0
    assert (out / "weights.safetensors").read_bytes() == first  # the same command, the same file
    loaded = weights.load(out / "weights.safetensors")
    assert loaded.pairs is not None
    assert len(loaded.pairs) == 300
    assert loaded.card["held_out_bits_per_byte"][str(notes)] == pytest.approx(per_byte, abs=1e-4)
    done = CliRunner().invoke(cli, [*arguments, "--steps", "5"])
    assert "bits per byte" in done.output
    model = f"transformer:{out / 'weights.safetensors'}"
    assert compgen.decompress(compgen.compress(TEXT, model), model) == TEXT
    notes.write_bytes(TEXT[::-1] * 8)
    refused = CliRunner().invoke(cli, [*arguments, "--steps", "5"])
    assert "checkpoint of another vocabulary" in str(refused.exception)


def test_rates_per_byte_are_those_of_the_chunks() -> None:
    pytest.importorskip("torch", reason="needs the extra lm")
    from compgen.predictors.transformer.corpus import Corpus, split, tokenised
    from compgen.predictors.transformer.training import Recipe, Trainer

    sources = [split("text", np.frombuffer(TEXT * 4, np.uint8), held_out=0.5)]
    corpus = Corpus(tokenised(sources, PAIRS), pairs=PAIRS)
    assert corpus.sources[0].training.dtype == np.uint16
    trainer = Trainer(CONFIG, corpus, Recipe(steps=1, batch_symbols=128, context=64, short_context=64))
    rates = trainer.evaluate(5)
    chunks = corpus.held_out(64, 5)["text"]
    text = b"".join(PAIRS.decode(row) for row in chunks)
    assert trainer.per_byte(rates, 5)["text"] == pytest.approx(rates["text"] * chunks.size / len(text))
