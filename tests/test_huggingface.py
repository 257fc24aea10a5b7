"""``hf``: models and tokenizers that are made here, with random weights, saved, and loaded as any other."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import synthetic_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import compgen
from compgen import archive, cli, numerics, parallel
from compgen.coding import BatchDecoder, BatchEncoder
from compgen.errors import CompgenError, CorruptDataError, MissingExtraError, UsageError

torch = pytest.importorskip("torch", reason="needs the extra lm")
transformers = pytest.importorskip("transformers", reason="needs the extra lm")
tokenizers = pytest.importorskip("tokenizers", reason="needs the extra lm")

from compgen.predictors.huggingface import HuggingFace, coder, files, loading, model  # noqa: E402
from compgen.predictors.huggingface.vocabulary import Vocabulary  # noqa: E402

TEXT = synthetic_text(3000)
NAMES = ("gpt2", "llama", "byt5", "bytes256")
#: What makes tokenizers give back other bytes than they got, or none.
TRICKY = [
    b"<|endoftext|>",
    b"</s><s><unk>",
    b"<0x41>",
    b"\xff\xfe",
    b"\x00\x01\x7f\x1b[0m",
    "▁ e\u0301 ﬁ \ufeff\u200b héllo".encode(),
    "😀".encode()[:3],
    b"  two  spaces ",
    b"\r\n\r\n\t",
    b"the code length ",
    bytes(range(256)),
]


# --- models ---


def byte_level_tokenizer(size: int, special: str = "<|endoftext|>") -> Any:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[special],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT.decode()], trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=special, eos_token=special)


def llama_tokenizer() -> Any:
    plain = tokenizers.Tokenizer(tokenizers.models.BPE())
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    plain.train_from_iterator([TEXT.decode()], tokenizers.trainers.BpeTrainer(vocab_size=80, show_progress=False))
    learned = json.loads(plain.to_str())["model"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *learned["vocab"]]
    merges = [tuple(merge) for merge in learned["merges"]]
    return transformers.LlamaTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges)


def gpt2_model(size: int, **changes: Any) -> Any:
    shape = {"n_positions": 96, "n_embd": 16, "n_layer": 2, "n_head": 2, "initializer_range": 0.3, **changes}
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=size, bos_token_id=0, eos_token_id=0, **shape)
    )


def llama_config(size: int) -> Any:
    return transformers.LlamaConfig(
        vocab_size=size,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        initializer_range=0.3,
    )


def sliding_config(size: int) -> Any:
    """Every layer sees the last few tokens only, for which the library has a cache of another kind."""
    shape = llama_config(size).to_dict()
    kept = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
    return transformers.MistralConfig(
        vocab_size=size, sliding_window=8, initializer_range=0.3, **{key: shape[key] for key in kept}
    )


def build(name: str, folder: Path) -> None:
    torch.manual_seed(1)
    if name == "gpt2":
        tokenizer, network = byte_level_tokenizer(310), gpt2_model(313)  # three logits without a token
    elif name == "llama":
        tokenizer = llama_tokenizer()
        network = transformers.LlamaForCausalLM(llama_config(len(tokenizer)))
    elif name == "sliding":
        tokenizer = byte_level_tokenizer(310)
        network = transformers.MistralForCausalLM(sliding_config(310))
    elif name == "byt5":
        tokenizer, network = transformers.ByT5Tokenizer(), gpt2_model(384)
    else:
        tokenizer, network = byte_level_tokenizer(257), gpt2_model(257)
    save(folder, network, tokenizer)


def save(folder: Path, *parts: Any) -> None:
    with loading.quiet():
        for part in parts:
            part.save_pretrained(folder)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def folder(name: str) -> Path:
        path = tmp_path_factory.mktemp(name)
        build(name, path)
        return path

    return folder


@pytest.fixture(scope="module")
def hf(saved: Callable[[str], Path]) -> Callable[..., HuggingFace]:
    return lambda name, **options: HuggingFace(str(saved(name)), **options)


# --- coding blocks ---


@pytest.mark.parametrize("name", [*NAMES, "sliding"])
@pytest.mark.parametrize("streams", [1, 3])
def test_text_comes_back(hf: Callable[..., HuggingFace], name: str, streams: int) -> None:
    predictor = hf(name, streams=streams, context=24, stride=7)
    for data in (TEXT[:700], b"a", b" a", b"".join(TRICKY), *TRICKY):
        code = predictor.encode_block(data)
        assert predictor.decode_block(code, len(data)) == data


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.one_of(st.binary(min_size=1, max_size=60), st.text(min_size=1, max_size=40).map(str.encode)))
def test_any_bytes_come_back(hf: Callable[..., HuggingFace], name: str, data: bytes) -> None:
    predictor = hf(name, streams=2)
    assert predictor.decode_block(predictor.encode_block(data), len(data)) == data


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(parts=st.lists(st.sampled_from([*TRICKY, TEXT[:90], TEXT[90:400]]), min_size=1, max_size=5))
def test_any_mixture_of_text_and_trouble_comes_back(
    hf: Callable[..., HuggingFace], name: str, parts: list[bytes]
) -> None:
    data, predictor = b"".join(parts), hf(name, streams=3)
    assert predictor.decode_block(predictor.encode_block(data), len(data)) == data


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(code=st.binary(max_size=40), length=st.integers(1, 200))
def test_any_code_decodes_or_is_refused(hf: Callable[..., HuggingFace], name: str, code: bytes, length: int) -> None:
    with contextlib.suppress(CorruptDataError):
        assert len(hf(name).decode_block(code, length)) == length


@pytest.mark.parametrize(("context", "stride"), [(16, 5), (16, 15), (2, 1), (90, 60)])
def test_code_is_as_long_as_the_model_says(saved: Callable[[str], Path], context: int, stride: int) -> None:
    """Against the network itself, without a cache, on what the window holds at each token."""
    predictor = HuggingFace(str(saved("gpt2")), streams=1, context=context, stride=stride)
    loaded = predictor.load()
    tokens = loaded.vocabulary.tokenise(TEXT[:400])
    assert tokens is not None
    window, bits = [0], 0.0
    for token in tokens.tolist():
        with torch.inference_mode():
            logits = loaded.network(torch.tensor([window])).logits[0, -1]
        logits = logits.clone()  # one to write to
        logits[0] = logits[loaded.size :] = -torch.inf  # the special token, and those that are none
        bits -= float(torch.log_softmax(logits, 0)[token]) / np.log(2)
        if len(window) == context:
            window = [0, *window[stride + 1 :]]
        window.append(token)
    assert abs(8 * len(predictor.encode_block(TEXT[:400])) - bits) < 34  # two numbers before it, the end, rounding


def test_special_text_is_text_and_nothing_is_added(hf: Callable[..., HuggingFace]) -> None:
    for name in ("gpt2", "llama"):
        vocabulary = hf(name).load().vocabulary
        for data in (b"a <|endoftext|> b", b"<s>the</s>", b"the code", b" the code", b"code"):
            tokens = vocabulary.tokenise(data)
            assert tokens is not None
            assert vocabulary.join(tokens) == data
            assert not set(tokens.tolist()) & set(vocabulary.banned.tolist())
    assert len(hf("gpt2").load().vocabulary.tokenise(b" the code length")) <= 6


def test_tokenizers_of_other_kinds() -> None:
    settings = json.loads(llama_tokenizer().backend_tokenizer.to_str())
    prepend = {"type": "Prepend", "prepend": "▁"}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    settings.update(pre_tokenizer=None, normalizer={"type": "Sequence", "normalizers": [prepend, replace]})
    older_llama = tokenizers.Tokenizer.from_str(json.dumps(settings))
    unigram = tokenizers.Tokenizer(tokenizers.models.Unigram())
    unigram.pre_tokenizer, unigram.decoder = tokenizers.pre_tokenizers.Metaspace(), tokenizers.decoders.Metaspace()
    unigram.normalizer = tokenizers.normalizers.NFKC()
    options = {"special_tokens": ["<unk>"], "unk_token": "<unk>", "show_progress": False}
    unigram.train_from_iterator([TEXT.decode()], tokenizers.trainers.UnigramTrainer(vocab_size=120, **options))
    for backend, unknown in ((older_llama, []), (unigram, ["é ﬁ".encode()])):
        vocabulary = Vocabulary(transformers.PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>"), 999)
        for data in (b"the code length", b" the code", TEXT[:500]):
            assert vocabulary.join(vocabulary.tokenise(data)) == data
        for data in unknown:
            assert vocabulary.tokenise(data) is None
            assert coder.cut(data, vocabulary).plain == [(0, data)]
    drops_spaces = tokenizers.Tokenizer(tokenizers.models.WordPiece({"[UNK]": 0, "the": 1}, unk_token="[UNK]"))
    drops_spaces.decoder = tokenizers.decoders.WordPiece()
    with pytest.raises(CompgenError, match="drops spaces"):
        Vocabulary(transformers.PreTrainedTokenizerFast(tokenizer_object=drops_spaces), 10)


def test_only_what_is_no_text_is_coded_plainly(hf: Callable[..., HuggingFace]) -> None:
    vocabulary, noise = hf("gpt2").load().vocabulary, bytes(range(128, 256))
    cut = coder.cut(TEXT[:1000] + noise + TEXT[1000:2000], vocabulary)
    assert len(cut.plain) == 1
    assert len(cut.plain[0][1]) <= len(noise) + 2 * coder.SMALLEST_SEGMENT_BYTES
    stray = TEXT[:1000] + b"\xff" + TEXT[1000:2000]
    cut = coder.cut(stray, vocabulary)
    assert not cut.plain  # a byte out of place is a token of its own
    assert vocabulary.join(cut.tokens) == stray
    assert not coder.cut(noise, hf("byt5").load().vocabulary).plain


@pytest.mark.parametrize("data", [b"\xff" * 40000, b"a\xff" * 20000, TEXT * 13, b"x" * 40000])
def test_cutting_is_no_quadratic_work(
    hf: Callable[..., HuggingFace], monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    vocabulary, seen = hf("gpt2").load().vocabulary, []
    tokenise = type(vocabulary).tokenise
    monkeypatch.setattr(type(vocabulary), "tokenise", lambda self, part: seen.append(len(part)) or tokenise(self, part))
    cut = coder.cut(data, vocabulary)
    assert sum(seen) <= len(data) * (1 + np.log2(coder.SEGMENT_BYTES / coder.SMALLEST_SEGMENT_BYTES))
    assert max(seen) <= coder.SEGMENT_BYTES
    assert len(vocabulary.join(cut.tokens)) + sum(len(run) for _, run in cut.plain) == len(data)


@pytest.mark.parametrize("size", [300, 2049, 5000, 50257])
def test_coding_in_groups_costs_nothing(size: int) -> None:
    generator = np.random.default_rng(size)
    logits = torch.from_numpy(generator.normal(0, 6, (3, size)).astype(np.float32))
    logits[:, size // 2 : size // 2 + 600] = -torch.inf  # whole groups without probability, which still can be coded
    probabilities = torch.softmax(logits, 1)
    likely = torch.multinomial(probabilities, 50, generator=torch.Generator().manual_seed(0)).numpy()
    rare = np.array([[0, size - 1, min(size // 2 + 300, size - 1)]] * 3)
    encoder = BatchEncoder(3, coder.PRECISION_BITS)
    for column in np.concatenate([likely, rare], axis=1).T:
        coder._encode_step(encoder, probabilities, column.astype(np.int64), 3)
    codes = encoder.finish()
    decoder = BatchDecoder(codes, coder.PRECISION_BITS)
    for column in np.concatenate([likely, rare], axis=1).T:
        assert np.array_equal(coder._decode_step(decoder, probabilities, 3), column)
    for code, row, chosen in zip(codes, probabilities.numpy(), likely, strict=True):
        assert 8 * len(code) < -np.log2(row[chosen].astype(np.float64)).sum() + 3 * 64 + 8


def test_progress_and_specs(hf: Callable[..., HuggingFace], saved: Callable[[str], Path]) -> None:
    predictor, seen = hf("gpt2", streams=3, context=20), list[int]()
    code = predictor.encode_block(TEXT[:300], seen.append)
    predictor.decode_block(code, 300, seen.append)
    assert seen == sorted(seen[: len(seen) // 2]) * 2
    assert seen[-1] == 300
    assert predictor.spec == f"hf:{saved('gpt2')},context=20,streams=3"
    assert compgen.predictor(predictor.spec) == predictor == pickle.loads(pickle.dumps(predictor))
    assert not predictor.exact


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(hf: Callable[..., HuggingFace], dtype: str) -> None:
    predictor = hf("llama", streams=4, dtype=dtype)
    assert predictor.decode_block(predictor.encode_block(TEXT[:400]), 400) == TEXT[:400]
    assert f"dtype {dtype}" in predictor.numerics


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_cuda(hf: Callable[..., HuggingFace], dtype: str) -> None:
    predictor = hf("llama", streams=8, dtype=dtype, device="cuda")
    code = predictor.encode_block(TEXT)
    assert predictor.decode_block(code, len(TEXT)) == TEXT
    probabilities = predictor.session([TEXT[:50]]).probabilities()
    np.testing.assert_allclose(probabilities, hf("llama").session([TEXT[:50]]).probabilities(), atol=0.02)


def test_a_growing_cache_is_the_librarys_own(saved: Callable[[str], Path]) -> None:
    loaded = HuggingFace(str(saved("llama"))).load()
    tokens = np.random.default_rng(0).integers(3, 250, (2, 100))
    ours, theirs = loaded.new_cache(), transformers.DynamicCache(config=loaded.network.config)
    with torch.inference_mode():
        for part in np.split(tokens, [1, 2, 40], axis=1):
            assert torch.allclose(loaded.feed(part, ours), loaded.feed(part, theirs), atol=1e-5)


# --- bytes from tokens ---


def tiny(folder: Path, pieces: list[str], merges: list[tuple[str, str]], start: bool = True) -> HuggingFace:
    """A model of a vocabulary small enough to write down all tokenisations."""
    vocabulary = {piece: i for i, piece in enumerate(["<s>", *pieces])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    special = {"bos_token": "<s>"} if start else {"pad_token": "<s>"}
    torch.manual_seed(3)
    network = gpt2_model(len(vocabulary), n_positions=32)
    if not start:
        network.config.bos_token_id = None
        network.generation_config.bos_token_id = None
    save(folder, network, transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special))
    return HuggingFace(str(folder), beam=0)


PIECES = ["a", "b", "ab", "ba", "aab", "abb"]
MERGES = [("a", "b"), ("b", "a"), ("a", "ab"), ("ab", "b")]


def probability(predictor: HuggingFace, prefix: bytes, start: bool = True) -> float:
    """P(text begins with prefix): the sum over all coverings, by the network itself."""
    loaded = predictor.load()
    table = [(token, data) for token, data in enumerate(loaded.vocabulary.token_bytes) if data]

    @cache
    def following(tokens: tuple[int, ...]) -> np.ndarray:
        if not tokens:
            weights = np.ones(loaded.size)
        else:
            with torch.inference_mode():
                weights = torch.exp(loaded.network(torch.tensor([tokens])).logits[0, -1].double()).numpy()[
                    : loaded.size
                ]
        weights = np.array([w if data else 0 for w, data in zip(weights, loaded.vocabulary.token_bytes, strict=True)])
        return weights / weights.sum()

    def covered(tokens: tuple[int, ...], rest: bytes) -> float:
        if not rest:
            return 1.0
        total = 0.0
        for token, data in table:
            if data.startswith(rest):
                total += following(tokens)[token]
            elif rest.startswith(data):
                total += following(tokens)[token] * covered((*tokens, token), rest[len(data) :])
        return total

    return covered((0,) if start else (), prefix)


@pytest.mark.parametrize("start", [True, False])
def test_bytes_are_the_sum_over_all_tokenisations(tmp_path: Path, start: bool) -> None:
    predictor = tiny(tmp_path, PIECES, MERGES, start)
    for text in (b"a", b"ab", b"aabbab", b"bbaabab", b"abbabbab"):
        expected = probability(predictor, text, start)
        bits = predictor.code_lengths([text])[0]
        np.testing.assert_allclose(2.0 ** -bits.sum(), expected, rtol=1e-5)
        following = predictor.session([text]).probabilities()[0]
        np.testing.assert_allclose(following.sum(), 1.0, rtol=1e-12)
        for byte in b"ab":
            after = probability(predictor, text + bytes((byte,)), start) / expected
            np.testing.assert_allclose(following[byte], after, rtol=1e-5)


def test_a_beam_comes_near(tmp_path: Path) -> None:
    exact = tiny(tmp_path, PIECES, MERGES)
    text = b"aabbababbaab"
    bits = {beam: dataclasses.replace(exact, beam=beam).code_lengths([text])[0].sum() for beam in (0, 1, 4, 64)}
    assert abs(bits[64] - bits[0]) < 1e-3
    assert abs(bits[4] - bits[0]) < 2
    assert all(np.isfinite(value) for value in bits.values())


def test_bytes_with_two_tokens_each(saved: Callable[[str], Path]) -> None:
    """SentencePiece vocabularies have letters as themselves and as bytes."""
    predictor = HuggingFace(str(saved("llama")), beam=0)
    for text in (b"t", b"th"):
        np.testing.assert_allclose(
            2.0 ** -predictor.code_lengths([text])[0].sum(), probability_after(predictor, text), rtol=1e-5
        )


def probability_after(predictor: HuggingFace, text: bytes) -> float:
    """As :func:`probability`, from the start token that this model has."""
    loaded = predictor.load()
    table = loaded.vocabulary.token_bytes

    def covered(tokens: list[int], rest: bytes) -> float:
        if not rest:
            return 1.0
        with torch.inference_mode():
            p = torch.exp(loaded.network(torch.tensor([tokens])).logits[0, -1].double()).numpy()[: loaded.size]
        p = np.where([len(data) > 0 for data in table], p, 0)
        p /= p.sum()
        ends = sum(p[t] for t, data in enumerate(table) if data.startswith(rest))
        inside = [t for t, data in enumerate(table) if data and rest.startswith(data) and data != rest]
        return float(ends + sum(p[t] * covered([*tokens, t], rest[len(table[t]) :]) for t in inside))

    return covered([loaded.start], text)


@pytest.mark.parametrize("name", [*NAMES, "sliding"])
def test_sessions(hf: Callable[..., HuggingFace], name: str) -> None:
    predictor = hf(name, context=20, stride=9)
    session = predictor.session([b"", b"the "])
    for a, b in zip(TEXT[:40], b"\xff\x00\x80 what" * 6, strict=False):
        probabilities = session.probabilities()
        assert probabilities.shape == (2, 256)
        assert np.all(probabilities > 0)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-12)
        session.push([a, b])
    before, fork = session.probabilities(), session.fork()
    fork.push(b"ab")
    assert np.array_equal(session.probabilities(), before)
    assert not np.array_equal(fork.probabilities(), before)
    session.push(b"ab")
    assert np.array_equal(session.probabilities(), fork.probabilities())


def test_a_session_is_about_what_the_code_says(hf: Callable[..., HuggingFace]) -> None:
    """All tokenisations together are at least as probable as the one that is coded."""
    for name in ("bytes256", "gpt2"):
        predictor = hf(name, streams=1)
        data = TEXT[:60]
        coded, scored = 8 * len(predictor.encode_block(data)), predictor.code_lengths([data])[0].sum()
        assert scored < coded + 1
        assert name == "gpt2" or scored > coded - 40  # where there is one tokenisation


@pytest.mark.parametrize("name", ["gpt2", "sliding"])
def test_scoring_together_is_scoring_alone(hf: Callable[..., HuggingFace], name: str) -> None:
    predictor, seen = hf(name, beam=3, context=20), list[tuple[int, int]]()
    streams = [TEXT[:30], b"", b"\xff\x80", *[TEXT[i : i + 20] for i in range(9)]]
    contexts = [TEXT[:7], b"a", *[b""] * 10]
    together = predictor.code_lengths(streams, contexts, lambda *progress: seen.append(progress))
    for stream, context, bits in zip(streams, contexts, together, strict=True):
        np.testing.assert_allclose(bits, predictor._score(stream, context, 0, 0, None), rtol=1e-3)
    assert seen[-1] == (212, 212)


def test_long_contexts_are_read_as_the_tokenizer_writes_them(hf: Callable[..., HuggingFace]) -> None:
    session = hf("bytes256").session([b""])  # where there is one way only to write them, nothing is lost
    for byte in TEXT[:140]:
        session.push([byte])
    given = hf("bytes256").session([TEXT[:140]])
    np.testing.assert_allclose(session.probabilities(), given.probabilities(), rtol=2e-2)
    for name in ("gpt2", "llama"):
        given = hf(name, context=24).session([TEXT[:2000], b"\xff" * 300])
        np.testing.assert_allclose(given.probabilities().sum(axis=1), 1.0)


def test_bytes_that_no_token_has(tmp_path: Path) -> None:
    """No byte is impossible, and the stream goes on behind one that has no token."""
    predictor = dataclasses.replace(tiny(tmp_path, PIECES, MERGES), beam=8)
    bits = predictor.code_lengths([b"ab?ab"])[0]
    assert 31 < bits[2] <= 32
    assert max(bits[3:]) < 4
    after = predictor.session([b"ab" * 100 + b"?", b"?" * 300 + b"ab"]).probabilities()
    np.testing.assert_allclose(after.sum(axis=1), 1.0)
    assert after[:, [ord("a"), ord("b")]].sum(axis=1).min() > 0.99


def test_drives_samplers_mixtures_and_compressors(hf: Callable[..., HuggingFace]) -> None:
    predictor = hf("gpt2", beam=2)
    assert len(compgen.sample(predictor, b"the code ", length=6)) > 0
    mixed = compgen.predictor(f"mix({predictor.spec.split(',')[0]},order2)")
    assert archive.decompress(archive.compress(TEXT[:40], mixed), mixed) == TEXT[:40]
    as_compressor = compgen.as_compressor(predictor)
    assert as_compressor.decompress(as_compressor.compress(TEXT[:100])) == TEXT[:100]


# --- archives ---


def test_archives_by_the_command_line(
    saved: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        code = cli._run(list(arguments))
        return code, " ".join(capsys.readouterr().err.split())

    source, spec = tmp_path / "notes.txt", f"hf:{saved('llama')},context=40"
    source.write_bytes(TEXT[:600] + b"\xff\x00<s>" + TEXT[:200])
    assert run("compress", "--predictor", spec, "--block-size", "500", str(source))[0] == 0
    packed, out = str(source) + ".cgz", str(tmp_path / "back")
    code, said = run("decompress", packed, "-o", out)
    assert code == 1
    assert "name the predictor yourself with --predictor" in said
    assert run("decompress", "--predictor", spec, packed, "-o", out)[0] == 0
    assert Path(out).read_bytes() == source.read_bytes()
    code, said = run("test", "--predictor", f"hf:{saved('gpt2')}", packed)
    assert code == 1
    assert "weights" in said
    with open(packed, "rb") as file:
        header = archive.summarise(file).header
    assert header.weights == compgen.predictor(spec).weights_sha256
    for field in ("torch", "transformers", "tokenizers", "dtype float32", "threads 1", "attention", "device cpu"):
        assert field in header.numerics


def test_jobs_code_the_same(hf: Callable[..., HuggingFace]) -> None:
    predictor = hf("gpt2", streams=2)
    alone = archive.compress(TEXT[:900], predictor, block_bytes=300)
    with parallel.jobs(2, "threading"):
        assert archive.compress(TEXT[:900], predictor, block_bytes=300) == alone
        assert archive.decompress(alone, predictor) == TEXT[:900]
    copy = pickle.loads(pickle.dumps(dataclasses.replace(predictor, threads=2)))
    assert "threads 2" in copy.numerics


def test_other_numerics_are_named(
    hf: Callable[..., HuggingFace], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    predictor = hf("gpt2")
    packed = archive.compress(TEXT[:300], predictor)
    version = torch.__version__
    monkeypatch.setattr(torch, "__version__", "1.0")
    distribution = model.TokenModel.distribution
    monkeypatch.setattr(model.TokenModel, "distribution", lambda self, logits: distribution(self, logits * 0.9))
    with pytest.raises(
        CorruptDataError, match=rf"block 0 .*made with torch {version.replace('+', '.')}, here is torch 1\.0$"
    ):
        archive.decompress(packed, predictor)
    with pytest.raises(CorruptDataError, match=r"made with the predictor .* and torch"):
        archive.decompress(packed, dataclasses.replace(predictor, streams=7))


def test_the_digest_covers_weights_and_tokenizer(saved: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(saved("gpt2"), folder)
    predictor = HuggingFace(str(folder))
    assert predictor.weights_sha256 == HuggingFace(str(saved("gpt2"))).weights_sha256
    digests = {predictor.weights_sha256}
    for name in ("tokenizer.json", "config.json", "model.safetensors"):
        with open(folder / name, "ab") as file:
            file.write(b" ")
        digests.add(predictor.weights_sha256)
    assert len(digests) == 4
    (folder / "README.md").write_text("a card")
    assert predictor.weights_sha256 in digests


# --- what can be wrong ---


def refused(predictor: HuggingFace, match: str) -> None:
    with pytest.raises(CompgenError, match=match) as caught:
        predictor.encode_block(b"text")
    assert "\n" not in str(caught.value)


def test_missing_files(tmp_path: Path, saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    refused(HuggingFace(str(tmp_path / "nowhere")), "there is no folder")
    refused(HuggingFace(str(tmp_path)), "has no config.json")
    (tmp_path / "config.json").write_text("{}")
    refused(HuggingFace(str(tmp_path)), "has no weights")
    refused(HuggingFace(str(saved("gpt2") / "config.json")), "is a file")
    import huggingface_hub

    def offline(*_: Any, **__: Any) -> str:
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    refused(HuggingFace("nobody/nothing"), "no folder here and not in the Hugging Face cache")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(saved("gpt2")))
    assert files.folder_of("somebody/something") == saved("gpt2")


def test_damaged_weights(tmp_path: Path, saved: Callable[[str], Path]) -> None:
    for damage in (lambda data: data[: len(data) // 2], lambda data: b"\xff" * 100 + data):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(saved("gpt2"), folder)
        path = folder / "model.safetensors"
        path.write_bytes(damage(path.read_bytes()))
        refused(HuggingFace(str(folder)), "cannot load the model")


def test_wrong_tokenizers(tmp_path: Path, saved: Callable[[str], Path]) -> None:
    folder = tmp_path / "larger"
    save(folder, gpt2_model(300), byte_level_tokenizer(310))
    refused(HuggingFace(str(folder)), "tokenizer has 310 tokens, the model only 300: they do not belong together")
    folder = tmp_path / "none"
    save(folder, gpt2_model(300))
    refused(HuggingFace(str(folder)), "no tokens that stand for text; are its files missing")


def test_models_that_are_not_causal(tmp_path: Path) -> None:
    tokenizer = byte_level_tokenizer(300)
    small = {"vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    bert = transformers.BertConfig(**small, intermediate_size=16)
    mamba = transformers.MambaConfig(vocab_size=300, hidden_size=16, num_hidden_layers=1, state_size=4)
    t5 = transformers.T5Config(vocab_size=300, d_model=16, d_ff=16, num_layers=1, num_heads=2, d_kv=8)
    for i, (network, match) in enumerate(
        [
            (transformers.BertLMHeadModel(bert), "is not causal"),
            (transformers.BertModel(bert), "lack cls.* and [0-9]+ others"),
            (transformers.LlamaModel(llama_config(300)), "lack lm_head.weight.*without a language-model head"),
            (transformers.MambaForCausalLM(mamba), "no cache of keys and values"),
            (transformers.T5ForConditionalGeneration(t5), "no causal language-model head"),
        ]
    ):
        folder = tmp_path / str(i)
        save(folder, network, tokenizer)
        refused(HuggingFace(str(folder)), match)


def test_outputs_that_are_no_numbers(tmp_path: Path) -> None:
    network = gpt2_model(300)
    network.transformer.wte.weight.data *= torch.nan
    save(tmp_path, network, byte_level_tokenizer(300))
    refused(HuggingFace(str(tmp_path)), "not finite")


def test_code_of_the_models_own_is_not_run(tmp_path: Path, saved: Callable[[str], Path]) -> None:
    folder = tmp_path / "own"
    shutil.copytree(saved("gpt2"), folder)
    config = json.loads((folder / "config.json").read_text())
    config.update(model_type="own", auto_map={"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Model"})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('this ran')")
    refused(HuggingFace(str(folder)), "code of its own|cannot load")


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("hf", "hf:PATH_OR_ID"),
        ("hf:x,dtype=int8", "dtype=int8 is not one of float32"),
        ("hf:x,context=1", "context must be from 2"),
        ("hf:x,stride=-1", "stride must be from 1"),
        ("hf:x,beam=-1", "beam must be"),
        ("hf:x,device=cupboard", "device must be cpu"),
        ("hf:x,contxt=5", "did you mean context"),
    ],
)
def test_wrong_parameters(spec: str, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        compgen.predictor(spec)


def test_windows_that_do_not_fit(hf: Callable[..., HuggingFace]) -> None:
    refused(hf("gpt2", context=200), "context=200 is beyond the 96 tokens")
    refused(hf("gpt2", context=20, stride=20), "stride must be below the context")
    if not torch.cuda.is_available():
        with pytest.raises(CompgenError, match="finds no CUDA device"):
            hf("gpt2", device="cuda")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "compgen.predictors.huggingface.loading")
    monkeypatch.delattr("compgen.predictors.huggingface.loading")
    with pytest.raises(MissingExtraError, match=r"hf needs an optional package.*compgen\[lm\]"):
        compgen.predictor("hf:anything")


def test_the_libraries_say_nothing(saved: Callable[[str], Path], capfd: pytest.CaptureFixture[str]) -> None:
    loading._load.cache_clear()
    assert HuggingFace(str(saved("byt5"))).encode_block(TEXT[:50])
    assert capfd.readouterr() == ("", "")


def test_lengths_are_in_bits(hf: Callable[..., HuggingFace]) -> None:
    session = hf("bytes256").session([b"t"])
    expected = -numerics.log2(session.probabilities()[0, [ord("h")]])
    assert np.array_equal(hf("bytes256").code_lengths([b"h"], [b"t"])[0], expected)
