"""The byte transformer: the same numbers from every engine, in any order of work; weight files; coding."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformer_oracle import probabilities as oracle

import compgen
from compgen.coding.payload import decode_block, encode_block
from compgen.errors import BadInputError, UsageError
from compgen.predictors.transformer import fixed, weights
from compgen.predictors.transformer.bpe import BytePairs
from compgen.predictors.transformer.config import PRESETS, Config, preset
from compgen.predictors.transformer.engine import Engine
from compgen.predictors.transformer.predictor import Transformer, shipped

SHAPES = {
    "small": Config(width=32, layers=2, heads=4, hidden=48, local_window=7, window=40),
    "wide heads": Config(width=48, layers=3, heads=3, hidden=64, local_window=16, window=96),
    "wider heads": Config(width=64, layers=2, heads=2, hidden=24, local_window=33, window=64),
    "few symbols": Config(vocabulary=11, width=16, layers=1, heads=2, hidden=32, local_window=3, window=2048),
    "tiny": Config(vocabulary=7, width=16, layers=1, heads=1, hidden=16, local_window=8, window=8),
}


def random_weights(
    path: Path, config: Config, seed: int = 0, scale: float = 1.0, pairs: BytePairs | None = None
) -> weights.Weights:
    """Weights as a trained network might have them, and a few at their bounds."""
    generator = np.random.default_rng(seed)
    tensors: dict[str, weights.IntTensor] = {}
    bits = {"residual": 10 - seed % 3}
    for layer in range(config.layers):
        bits |= {f"layers.{layer}.heads": 10 - layer % 2, f"layers.{layer}.hidden": 3 + (seed + layer) % 6}
    for name, shape in weights.expected_shapes(config).items():
        values = generator.standard_normal(shape)
        if weights.is_matrix(name):
            values *= scale * (4.0 if name == "unembedding" else 1.5) / np.sqrt(shape[1])
            bits[name] = fixed.weight_bits(values)
            tensors[name] = fixed.rounded(values, bits[name], 32767)
        elif name == "embedding":
            tensors[name] = fixed.rounded(values, bits["residual"], 1 << 20)
        elif name.endswith("sharpness"):
            tensors[name] = fixed.rounded(np.abs(values), fixed.SHARPNESS, 32767)
        else:
            tensors[name] = fixed.rounded(values * 0.4 + 0.5, fixed.FACTOR, 32767)
    weights.save(path, config, tensors, bits, {"seed": seed}, pairs)
    return weights.load(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, weights.Weights]:
    folder = tmp_path_factory.mktemp("weights")
    return {name: random_weights(folder / f"{i}.st", config) for i, (name, config) in enumerate(SHAPES.items())}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    target = tmp_path_factory.mktemp("weights") / "small.safetensors"
    random_weights(target, SHAPES["small"], seed=3)
    return str(target)


def text(model: weights.Weights, streams: int, positions: int, seed: int = 1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    symbols = generator.integers(0, model.config.vocabulary, (streams, positions))
    symbols[:, ::3] = symbols[:, :1]  # something to find again
    symbols[:, 0] = model.config.vocabulary
    return symbols


@pytest.mark.parametrize("name", SHAPES)
def test_engine_equals_the_plain_description(models: dict[str, weights.Weights], name: str) -> None:
    symbols = text(models[name], 1, 60)
    engine = Engine(models[name])
    expected = oracle(models[name], symbols[0].tolist())
    np.testing.assert_array_equal(engine.advance(symbols, engine.start(1))[0], expected)


@pytest.mark.parametrize("scale", [0.01, 30.0])
def test_engine_equals_the_plain_description_when_all_saturates(tmp_path: Path, scale: float) -> None:
    model = random_weights(tmp_path / "w", SHAPES["small"], seed=5, scale=scale)
    symbols = text(model, 1, 50)
    engine = Engine(model)
    np.testing.assert_array_equal(engine.advance(symbols, engine.start(1))[0], oracle(model, symbols[0].tolist()))


def test_engine_equals_the_plain_description_when_attention_is_sharp(tmp_path: Path) -> None:
    model = random_weights(tmp_path / "w", Config(width=128, layers=1, heads=2, hidden=16))
    sharpness = np.array([32767, 3000])  # of the first head, scores may be beyond what 32 bits hold
    weights.save(tmp_path / "sharp", model.config, model.tensors | {"layers.0.sharpness": sharpness}, model.bits, {})
    model = weights.load(tmp_path / "sharp")
    symbols = text(model, 1, 50)
    engine = Engine(model)
    np.testing.assert_array_equal(engine.advance(symbols, engine.start(1))[0], oracle(model, symbols[0].tolist()))


def in_pieces(engine: Engine, symbols: np.ndarray, pieces: list[int]) -> np.ndarray:
    caches, rows, first = engine.start(len(symbols)), [], 0
    for piece in pieces:
        rows.append(engine.advance(symbols[:, first : first + piece], caches))
        first += piece
    return np.concatenate(rows, axis=1)


@given(seed=st.integers(0, 1000), pieces=st.lists(st.integers(1, 90), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_any_way_through_a_text_gives_the_same(
    models: dict[str, weights.Weights], seed: int, pieces: list[int]
) -> None:
    engine = Engine(models["small"])
    symbols = text(models["small"], 2, sum(pieces), seed)
    whole = in_pieces(engine, symbols, [sum(pieces)])
    np.testing.assert_array_equal(in_pieces(engine, symbols, pieces), whole)
    np.testing.assert_array_equal(in_pieces(engine, symbols[1:], [sum(pieces)])[0], whole[1])


@pytest.mark.parametrize("streams", [1, 3, 64])
def test_step_by_step_in_any_batch_equals_all_at_once(models: dict[str, weights.Weights], streams: int) -> None:
    engine = Engine(models["wide heads"])
    symbols = text(models["wide heads"], streams, 700)
    np.testing.assert_array_equal(in_pieces(engine, symbols, [1] * 700), in_pieces(engine, symbols, [700]))


def test_no_difference_in_a_million_positions(models: dict[str, weights.Weights]) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra lm")
    from compgen.predictors.transformer.torch_engine import TorchEngine

    model, threads = models["tiny"], torch.get_num_threads()
    engine, other = Engine(model), TorchEngine(model)
    symbols = text(model, 64, 4000)
    expected = engine.advance(symbols, engine.start(64))
    np.testing.assert_array_equal(in_pieces(engine, symbols, [1] * 4000), expected)
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            np.testing.assert_array_equal(other.advance(symbols, other.start(64)), expected)
    finally:
        torch.set_num_threads(threads)


def torch_devices() -> list[object]:
    try:
        import torch
    except ImportError:
        return [pytest.param("cpu", marks=pytest.mark.skip(reason="needs the extra lm"))]
    missing = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
    return ["cpu", pytest.param("cuda", marks=missing)]


@pytest.mark.parametrize("device", torch_devices())
@pytest.mark.parametrize("name", SHAPES)
def test_pytorch_gives_the_same_numbers(models: dict[str, weights.Weights], name: str, device: str) -> None:
    from compgen.predictors.transformer.torch_engine import TorchEngine

    plain, other = Engine(models[name]), TorchEngine(models[name], device)
    symbols = text(models[name], 3, 150)
    np.testing.assert_array_equal(in_pieces(other, symbols, [100, 1, 1, 48]), in_pieces(plain, symbols, [150]))
    ragged = [(1, 90), (2, 30)]
    ours, theirs = [], []
    for first, length in ragged:
        for engine, found in ((plain, ours), (other, theirs)):
            caches = engine.start(1)
            engine.advance(symbols[first : first + 1, :length], caches)
            found.append(caches)
    joined = [
        engine.advance(symbols[1:, 100:140], engine.select(engine.join(found), np.array([1, 0])))
        for engine, found in ((plain, ours), (other, theirs))
    ]
    np.testing.assert_array_equal(*joined)


@pytest.mark.parametrize("size", shipped() or [pytest.param("", marks=pytest.mark.skip(reason="no weights ship"))])
def test_pytorch_gives_the_same_numbers_with_weights_that_ship(size: str) -> None:
    pytest.importorskip("torch", reason="needs the extra lm")
    from compgen.datasets import default_context
    from compgen.predictors.transformer.torch_engine import TorchEngine

    model = weights.load(shipped()[size])
    start = np.array([[model.config.vocabulary]])
    symbols = np.frombuffer(default_context()[:1200] * 2, np.uint8)[None].astype(np.int64)  # beyond the window
    ours, theirs = Engine(model), TorchEngine(model)
    rows = [engine.advance(np.concatenate([start, symbols], axis=1), engine.start(1)) for engine in (ours, theirs)]
    np.testing.assert_array_equal(*rows)


#: Of the probabilities below, from a run on x86-64: another machine, library or version must find the same.
GOLDEN = "76c53ffdfca2c9cd"
PROGRAM = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_transformer import SHAPES, random_weights, text
from compgen.predictors.transformer.engine import Engine
digest = hashlib.sha256()
for name in ("small", "wide heads", "few symbols"):
    model = random_weights(Path(sys.argv[2]), SHAPES[name])
    engine = Engine(model)
    digest.update(engine.advance(text(model, 2, 300), engine.start(2)).tobytes())
print(digest.hexdigest()[:16])
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_golden_numbers_with_any_number_of_threads(tmp_path: Path, threads: str) -> None:
    import os

    variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    arguments = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(tmp_path / "w")]
    done = subprocess.run(arguments, env=os.environ | variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == GOLDEN


# --- the predictor ---------------------------------------------------------------------------------------------------


def test_sessions_with_contexts_of_any_lengths(path: str) -> None:
    predictor = compgen.predictor(f"transformer:{path}")
    contexts = [b"the quick", b"", b"brown fox jumps over", b"the lazy!"]
    together = predictor.session(contexts)
    alone = [predictor.session([context]) for context in contexts]
    twin = together.fork()
    for symbols in (b"abcd", b"efgh"):
        expected = np.concatenate([session.probabilities() for session in alone])
        np.testing.assert_array_equal(together.probabilities(), expected)
        together.push(symbols)
        for session, symbol in zip(alone, symbols, strict=True):
            session.push([symbol])
    np.testing.assert_array_equal(twin.probabilities()[1], predictor.session([b""]).probabilities()[0])


def test_code_lengths_are_those_of_the_sessions(path: str) -> None:
    predictor = compgen.predictor(f"transformer:{path}")
    streams, contexts = [b"hello there", b"", b"general", b"hello again"], [b"", b"x", b"yz", b""]
    seen = []
    found = predictor.code_lengths(streams, contexts, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (29, 29)
    for stream, context, lengths in zip(streams, contexts, found, strict=True):
        session, expected = predictor.session([context]), []
        for symbol in stream:
            expected.append(-np.log2(session.probabilities()[0, symbol]))
            session.push([symbol])
        np.testing.assert_allclose(lengths, expected, rtol=1e-12)


@given(data=st.binary(min_size=1, max_size=400), streams=st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_blocks_round_trip(path: str, data: bytes, streams: int) -> None:
    predictor = Transformer(path, streams=streams)
    assert decode_block(predictor, encode_block(predictor, data), len(data)) == data


def test_archives_of_one_backend_decode_with_the_other(path: str) -> None:
    pytest.importorskip("torch", reason="needs the extra lm")
    data = Path(__file__).read_bytes()[:3000]
    numpy_made = compgen.compress(data, f"transformer:{path},streams=3")
    torch_made = compgen.compress(data, f"transformer:{path},streams=3,backend=torch")
    assert numpy_made == torch_made
    assert compgen.decompress(numpy_made, f"transformer:{path},streams=3,backend=torch") == data


def test_an_archive_names_its_weights_and_follows_no_path(path: str, tmp_path: Path) -> None:
    archive = compgen.compress(b"some data" * 30, f"transformer:{path}")
    with pytest.raises(compgen.CompgenError, match="no path from an archive is followed"):
        compgen.decompress(archive)
    random_weights(tmp_path / "other", SHAPES["small"], seed=4)
    with pytest.raises(compgen.CompgenError, match="here are weights"):
        compgen.decompress(archive, f"transformer:{tmp_path / 'other'}")


def test_specs(path: str) -> None:
    assert Transformer(path, streams=2, backend="torch").spec == f"transformer:{path},streams=2"
    assert compgen.predictor(Transformer(path).spec) == Transformer(path)
    for wrong, message in (
        ({"file": "no/such"}, "no weight file 'no/such'"),
        ({"size": "7k"}, "no size '7k' ships"),
        ({"backend": "abacus"}, "backend must be one of"),
        ({"streams": -1}, "streams must be"),
    ):
        with pytest.raises(UsageError, match=message):
            Transformer(**wrong).session([b""])  # type: ignore[arg-type]


@pytest.mark.parametrize("size", shipped() or [pytest.param("", marks=pytest.mark.skip(reason="no weights ship"))])
def test_shipped_models_predict_english(size: str) -> None:
    from compgen.datasets import default_context

    model = compgen.predictor(f"transformer:{size}")
    assert model.spec == f"transformer:size={size}"
    rate = float(np.mean(model.code_lengths([default_context()])[0]))
    assert rate < 3.0
    archive = compgen.compress(default_context(), model)
    assert compgen.decompress(archive) == default_context()  # without being told what with


# --- weight files ----------------------------------------------------------------------------------------------------


def test_damaged_files_are_refused(path: str, tmp_path: Path) -> None:
    content = Path(path).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])

    def changed(**entries: object) -> bytes:
        text = json.dumps(header | entries).encode()
        return len(text).to_bytes(8, "little") + text + content[8 + length :]

    embedding = header["embedding"]
    for damaged in (
        b"",
        content[:7],
        content[:100],
        content[:-1],
        b"\xff" * 8 + content[8:],
        content[:8] + b"[" * length + content[8 + length :],
        changed(embedding=None),
        changed(embedding=embedding | {"shape": [257, 31]}),
        changed(embedding=embedding | {"dtype": "F64"}),
        changed(embedding=embedding | {"data_offsets": [-4, 0]}),
        changed(embedding=embedding | {"data_offsets": [0, 1 << 60]}),
        changed(__metadata__=header["__metadata__"] | {"config": '{"width": 1e9}'}),
        changed(__metadata__=header["__metadata__"] | {"bits": "{}"}),
    ):
        with pytest.raises(BadInputError, match="damaged, or not a weight file"):
            weights.parse(damaged, "w")
    with pytest.raises(UsageError, match="made for 'transformer fixed point 0'"):
        weights.parse(changed(__metadata__=header["__metadata__"] | {"format": "transformer fixed point 0"}), "w")
    with pytest.raises(BadInputError, match="No such file"):
        weights.load(tmp_path / "none")


def test_weights_that_could_overflow_are_refused(tmp_path: Path, path: str) -> None:
    model = weights.load(Path(path))
    large = dict(model.tensors)
    large["layers.0.qkv"] = np.full_like(large["layers.0.qkv"], 32767)
    weights.save(tmp_path / "large", model.config, large, model.bits, {})
    with pytest.raises(BadInputError, match=r"the weights layers\.0\.qkv are too large"):
        weights.load(tmp_path / "large")


def test_files_are_what_the_safetensors_library_reads(path: str) -> None:
    library = pytest.importorskip("safetensors.numpy", reason="needs the extra lm")
    tensors = library.load_file(path)
    for name, tensor in weights.load(Path(path)).tensors.items():
        np.testing.assert_array_equal(tensor, tensors[name])


def test_presets_have_the_sizes_their_names_say() -> None:
    for name, config in PRESETS.items():
        said = float(name[:-1]) * {"k": 1e3, "m": 1e6}[name[-1]]
        assert 0.9 < config.parameters / said < 1.2
        assert config.parameters == sum(np.prod(shape) for shape in weights.expected_shapes(config).values())
    assert preset("200k", "layers=6").layers == 6
    for wrong in (("201k", None), ("200k", "layers"), ("200k", "depth=3"), ("200k", "heads=5")):
        with pytest.raises(UsageError):
            preset(*wrong)


def test_tables_are_the_powers_of_two_they_should_be() -> None:
    from decimal import Decimal, getcontext

    getcontext().prec = 60
    for bits in (fixed.ATTENTION, fixed.OUTPUT):
        exact = [Decimal(2) ** (Decimal(bits) - Decimal(i) / 1024) for i in range(1024)]
        assert fixed.powers_table(bits).astype(np.int64).tolist() == [int(x + Decimal("0.5")) for x in exact]
    assert (
        hashlib.sha256(fixed.powers_table(40).tobytes()).hexdigest()
        == "4e9b6300b1e54df9eaafb00ba2ae51a3405f0c6912450a68caef8556e46b75d6"
    )
