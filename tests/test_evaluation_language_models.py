"""Language models under ``compgen.evaluate``: against forward passes one at a time, and against their own archives."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import synthetic_text

import compgen
from compgen.errors import BadInputError, CompgenError, MissingExtraError, UsageError

torch = pytest.importorskip("torch", reason="needs the extra lm")
transformers = pytest.importorskip("transformers", reason="needs the extra lm")

from test_evaluation import DOCUMENTS, rolling, write_lines  # noqa: E402
from test_huggingface import build, byte_level_tokenizer, gpt2_model, save  # noqa: E402

from compgen.evaluation import language_models  # noqa: E402
from compgen.evaluation.scorers import Piece  # noqa: E402
from compgen.predictors.huggingface import HuggingFace, loading  # noqa: E402

NAMES = ("gpt2", "llama", "sliding")
BLOCK, STRIDE = 50, 20


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {name: tmp_path_factory.mktemp(name) for name in (*NAMES, "nobos")}
    for name in NAMES:
        build(name, made[name])
    torch.manual_seed(2)
    tokenizer = byte_level_tokenizer(300)
    tokenizer.bos_token = tokenizer.eos_token = None
    network = gpt2_model(300)
    network.config.bos_token_id = network.config.eos_token_id = network.generation_config.bos_token_id = None
    network.generation_config.eos_token_id = None
    save(made["nobos"], network, tokenizer)
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "web.jsonl", DOCUMENTS)


class Plain:
    """A model and its tokenizer by the library alone, in float64, one window at a time."""

    def __init__(self, folder: Path, dtype: Any = None) -> None:
        with loading.quiet():
            self.network = transformers.AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype or torch.float64
            ).eval()
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def nats(self, inputs: Sequence[int], scored: Sequence[int], allowed: Sequence[int] | None = None) -> float:
        """Minus the log of the probability of what is scored, each after the inputs that end before it."""
        with torch.inference_mode():
            logits = self.network(torch.tensor([list(inputs)])).logits[0, -len(scored) :].double()
        if allowed is not None:
            logits = logits[:, list(allowed)]
            scored = [list(allowed).index(token) for token in scored]
        logs = torch.log_softmax(logits, 1)
        return -math.fsum(float(logs[i, token]) for i, token in enumerate(scored))

    def opencompass(self, texts: Sequence[str], block: int, stride: int) -> float:
        """As REFERENCE of the protocol has it, word by word."""
        ids = [token for text in texts for token in self.tokenizer(text)["input_ids"]]
        total = 0.0
        for k in range((len(ids) - (block + 1)) // stride + 1):
            window = ids[stride * k : stride * k + block + 1]
            inputs, targets = window[:-1], window[1:]
            total += self.nats(inputs, targets if k == 0 else targets[-stride:])
        return total


@pytest.mark.parametrize("name", NAMES)
def test_opencompass_is_the_straightforward_sum_at_every_batch_size(
    name: str, folders: dict[str, Path], data: Path
) -> None:
    expected = Plain(folders[name]).opencompass(DOCUMENTS, BLOCK, STRIDE)
    for batch_size in (1, 2, 7, 1000):
        found = compgen.evaluate(
            f"hf:{folders[name]},dtype=float64",
            data,
            protocol="opencompass",
            block_size=BLOCK,
            stride=STRIDE,
            batch_size=batch_size,
        )
        assert found.total.nats == pytest.approx(expected, rel=1e-9)
        assert found.bpc == pytest.approx(expected / math.log(2) / sum(map(len, DOCUMENTS)), rel=1e-9)
        assert found.geometry["start_token"] is None


@pytest.mark.parametrize("name", NAMES)
def test_opencompass_is_what_lm_evaluation_harness_rolls(name: str, folders: dict[str, Path], data: Path) -> None:
    plain = Plain(folders[name])
    ids = [token for text in DOCUMENTS for token in plain.tokenizer(text)["input_ids"]]
    pairs = list(rolling(ids[1:], ids[0], BLOCK, BLOCK - STRIDE + 1))
    whole = [pair for i, pair in enumerate(pairs) if len(pair[1]) == (STRIDE if i else BLOCK)]
    expected = math.fsum(plain.nats(*pair) for pair in whole)
    options: Any = {"protocol": "opencompass", "block_size": BLOCK, "stride": STRIDE}
    found = compgen.evaluate(f"hf:{folders[name]},dtype=float64", data, **options)
    assert found.total.nats == pytest.approx(expected, rel=1e-9)
    assert found.total.scored == len(ids) - 1 - (len(ids) - 1 - BLOCK) % STRIDE


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stride", [None, STRIDE])
def test_documents_are_what_lm_evaluation_harness_rolls(
    name: str, stride: int | None, folders: dict[str, Path], data: Path
) -> None:
    plain, expected = Plain(folders[name]), []
    for text in DOCUMENTS:
        ids = plain.tokenizer(text, add_special_tokens=False)["input_ids"]
        pairs = rolling(ids, plain.tokenizer.bos_token_id, BLOCK, BLOCK - (stride or BLOCK) + 1)
        expected.append(math.fsum(plain.nats(*pair) for pair in pairs))
    for batch_size in (1, 3, 64):
        found = compgen.evaluate(
            f"hf:{folders[name]},dtype=float64",
            data,
            protocol="document",
            block_size=BLOCK,
            stride=stride,
            batch_size=batch_size,
        )
        assert found.total.nats == pytest.approx(math.fsum(expected), rel=1e-9)
        assert found.total.scored == found.total.tokens


@pytest.mark.parametrize("name", [*NAMES, "nobos"])
@pytest.mark.parametrize("streams", [1, 3])
def test_full_scores_every_token_of_the_text(name: str, streams: int, folders: dict[str, Path], tmp_path: Path) -> None:
    """By the definition: what an archive's coder has read before each token, without batches or caches."""
    (tmp_path / "notes.txt").write_bytes(DOCUMENTS[0].encode())
    spec = f"hf:{folders[name]},dtype=float64,context={BLOCK},stride={STRIDE},streams={streams}"
    plain, vocabulary = Plain(folders[name]), HuggingFace(str(folders[name])).load().vocabulary
    allowed = [token for token, text in enumerate(vocabulary.token_bytes) if text]
    start = [] if name == "nobos" else [plain.tokenizer.bos_token_id]
    tokens, total = vocabulary.tokenise(DOCUMENTS[0].encode()), 0.0
    for part in np.array_split(tokens, streams):
        held = list(start)
        for token in part.tolist():
            total += plain.nats(held, [token], allowed) if held else math.log(len(allowed))
            if len(held) == BLOCK:
                held = held[STRIDE:]
                held[: len(start)] = start
            held.append(token)
    for batch_size in (1, 5):
        found = compgen.evaluate(spec, tmp_path / "notes.txt", batch_size=batch_size)
        assert found.total.nats == pytest.approx(total, rel=1e-9)
        assert found.total.scored == found.total.tokens == len(tokens)
    assert any("no start token" in note for note in found.notes) == (name == "nobos")


def test_an_evaluation_is_the_size_of_the_archive(tmp_path: Path) -> None:
    torch.manual_seed(3)
    save(tmp_path / "model", gpt2_model(310, initializer_range=0.6), byte_level_tokenizer(310))
    text = synthetic_text(1_400_000, seed=5)
    (tmp_path / "book.txt").write_bytes(text)
    spec = f"hf:{tmp_path / 'model'},context=64,stride=48,streams=64"
    archive_bits = 8 * len(compgen.compress(text, spec, verify=False))
    found = compgen.evaluate(spec, tmp_path / "book.txt", batch_size=64)
    assert found.bpb == pytest.approx(archive_bits / len(text), rel=1e-3)
    assert found.total.bits < archive_bits  # which has a header and checksums


def test_what_is_no_text_for_the_tokenizer_is_paid_for(folders: dict[str, Path], tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(128, 192, 3000).astype(np.uint8).tobytes()
    (tmp_path / "a.txt").write_bytes(noise + DOCUMENTS[0].encode())
    spec = f"hf:{folders['gpt2']},context={BLOCK},streams=1"
    found = compgen.evaluate(spec, tmp_path / "a.txt").total
    assert found.plain_bytes >= 3000
    assert found.plain_bits > 6 * 3000 * 0.95  # noise of six bits a byte has no shorter code
    archive_bits = 8 * len(compgen.predictor(spec).encode_block(noise + DOCUMENTS[0].encode()))
    assert found.bits == pytest.approx(archive_bits, rel=0.01)
    assert found.bpc is None
    for protocol in ("opencompass", "document"):
        with pytest.raises(BadInputError, match=r"a\.txt: not UTF-8 .*protocol full"):
            compgen.evaluate(spec, tmp_path / "a.txt", protocol=protocol, block_size=90, stride=20)


@pytest.mark.parametrize("protocol", ["full", "opencompass", "document"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_batches_change_nothing_beyond_rounding(
    protocol: str, dtype: str, folders: dict[str, Path], data: Path
) -> None:
    options: Any = {"protocol": protocol, "block_size": BLOCK, "stride": STRIDE}
    spec = f"hf:{folders['llama']},dtype={dtype}"
    found = [compgen.evaluate(spec, data, batch_size=size, **options).total.nats for size in (1, 3, 16, 500)]
    tolerance = 1e-6 if dtype == "float32" else 1e-3  # in bfloat16 the model itself depends on the batch
    assert np.ptp(found) < tolerance * found[0]


@pytest.mark.parametrize("protocol", ["full", "opencompass"])
def test_the_loss_of_bfloat16_is_taken_in_float32(protocol: str, folders: dict[str, Path]) -> None:
    predictor = HuggingFace(str(folders["gpt2"]), dtype="bfloat16")
    scorer = language_models.token_scorer(predictor, protocol, BLOCK, STRIDE)
    ids = np.array(predictor.load().vocabulary.tokenise(DOCUMENTS[0].encode()))[: BLOCK + 1]
    (nats,) = scorer.score([Piece(ids[:-1], ids[1:], False)])
    with torch.inference_mode():
        logits = Plain(folders["gpt2"], torch.bfloat16).network(torch.tensor([ids[:-1].tolist()])).logits[0]
    logits = logits.double().clone()  # one to write to
    if protocol == "full":
        logits[:, 0] = logits[:, predictor.load().size :] = -torch.inf
    expected = -torch.log_softmax(logits, 1)[torch.arange(BLOCK), torch.from_numpy(ids[1:])]
    np.testing.assert_allclose(nats, expected.numpy(), rtol=1e-5)


def test_special_tokens_that_the_tokenizer_adds_are_said(tmp_path: Path, folders: dict[str, Path], data: Path) -> None:
    from tokenizers import processors

    tokenizer = byte_level_tokenizer(310)
    bos = ("<|endoftext|>", 0)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[bos]
    )
    torch.manual_seed(1)
    save(tmp_path / "model", gpt2_model(310), tokenizer)
    spec = f"hf:{tmp_path / 'model'},dtype=float64"
    options: Any = {"block_size": BLOCK, "stride": STRIDE}
    found = compgen.evaluate(spec, data, protocol="opencompass", **options)
    plain = Plain(tmp_path / "model")
    assert found.total.nats == pytest.approx(plain.opencompass(DOCUMENTS, BLOCK, STRIDE), rel=1e-9)
    assert found.total.special_tokens == len(DOCUMENTS) - 1  # the first is read and never scored
    assert 0 < found.total.special_nats < found.total.nats
    assert any("4 of the scored tokens are special tokens" in note for note in found.notes)
    for protocol in ("full", "document"):
        assert compgen.evaluate(spec, data, protocol=protocol, **options).total.special_tokens == 0


def test_jobs_share_the_windows(folders: dict[str, Path], data: Path) -> None:
    options: Any = {"block_size": BLOCK, "stride": STRIDE, "batch_size": 4}
    spec = f"hf:{folders['gpt2']},threads=1"
    alone = compgen.evaluate(spec, data, **options)
    with compgen.jobs(2):
        assert compgen.evaluate(spec, data, **options).total.nats == pytest.approx(alone.total.nats, rel=1e-6)


def test_block_sizes_beyond_the_model(folders: dict[str, Path], data: Path) -> None:
    spec = f"hf:{folders['gpt2']}"
    with pytest.raises(
        UsageError, match=r"looks back at most 96 tokens, less than the block of 1,900; .* do not compare"
    ):
        compgen.evaluate(spec, data, protocol="opencompass")
    with pytest.raises(UsageError, match="less than the block of 97"):
        compgen.evaluate(spec, data, block_size=97)
    found = compgen.evaluate(spec, data)
    assert (found.geometry["block_size"], found.geometry["stride"]) == (96, 24)
    assert compgen.evaluate(spec, data, protocol="document").geometry["stride"] == 96
    found = compgen.evaluate(f"{spec},context=32,stride=9", data)
    assert (found.geometry["block_size"], found.geometry["stride"]) == (32, 9)
    few = write_lines(data.with_name("few.jsonl"), ["too few"])
    with pytest.raises(BadInputError, match="tokens, fewer than one window of 91"):
        compgen.evaluate(spec, few, protocol="opencompass", block_size=90, stride=30)
    with pytest.raises(UsageError, match="stride must be from 1 to the block size of 90, not 512"):
        compgen.evaluate(spec, few, protocol="opencompass", block_size=90)


def test_results_go_to_json(folders: dict[str, Path], data: Path) -> None:
    found = json.loads(json.dumps(compgen.evaluate(f"hf:{folders['llama']}", data).as_dict()))
    assert found["geometry"]["start_token"] == {"id": 1, "text": "<s>"}
    assert found["geometry"]["unit"] == "tokens"
    assert {"bpb", "bpc", "nats", "bits", "tokens", "characters", "bytes", "words", "word_perplexity"} <= set(
        found["total"]
    )
    assert "dtype float32" in found["numerics"]
    assert len(found["weights_sha256"]) == 64


def test_outputs_that_are_no_numbers_are_refused(tmp_path: Path, data: Path) -> None:
    network = gpt2_model(310)
    with torch.no_grad():
        network.transformer.ln_f.weight.fill_(torch.inf)
    save(tmp_path / "model", network, byte_level_tokenizer(310))
    with pytest.raises(CompgenError, match="not finite"):
        compgen.evaluate(f"hf:{tmp_path / 'model'}", data)


def test_device_maps(folders: dict[str, Path], data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = f"hf:{folders['gpt2']}"
    with pytest.raises(UsageError, match="device or device_map"):
        compgen.predictor(f"{spec},device_map=auto,device=cpu:0")
    if not _has_accelerate():
        pytest.skip("needs the extra accelerate")
    spread = compgen.evaluate(f"{spec},device_map=auto", data)
    assert spread.total.nats == pytest.approx(compgen.evaluate(spec, data).total.nats, rel=1e-6)
    assert "device map auto" in spread.numerics
    loading._load.cache_clear()
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtraError, match=r"compgen\[accelerate\]"):
        compgen.evaluate(f"{spec},device_map=balanced", data)


def _has_accelerate() -> bool:
    from importlib.util import find_spec

    return find_spec("accelerate") is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("protocol", ["full", "opencompass", "document"])
def test_cuda(protocol: str, folders: dict[str, Path], data: Path) -> None:
    options: Any = {"protocol": protocol, "block_size": BLOCK, "stride": STRIDE}
    here = compgen.evaluate(f"hf:{folders['llama']}", data, **options).total.nats
    assert compgen.evaluate(f"hf:{folders['llama']},device=cuda", data, **options).total.nats == pytest.approx(
        here, rel=1e-4
    )
