"""Training byte transformers: the corpus, the trainer, runs that are stopped and go on, what comes out."""

from __future__ import annotations

import gzip
import json
import lzma
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import zstandard
from click.testing import CliRunner

import compgen
from compgen.cli import cli
from compgen.datasets import default_context
from compgen.errors import BadInputError, UsageError
from compgen.predictors.transformer import weights
from compgen.predictors.transformer.config import Config
from compgen.predictors.transformer.corpus import Corpus, Source, named, sources, split

torch = pytest.importorskip("torch", reason="needs the extra lm")

from compgen.predictors.transformer import runs  # noqa: E402  # with PyTorch only
from compgen.predictors.transformer.export import to_fixed, to_float  # noqa: E402
from compgen.predictors.transformer.network import Network  # noqa: E402
from compgen.predictors.transformer.training import Recipe, Trainer  # noqa: E402

CONFIG = Config(width=32, layers=2, heads=2, hidden=64, local_window=16, window=64)
RECIPE = Recipe(steps=12, batch_symbols=512, context=128, short_context=64, warmup=2)
TEXT = default_context() * 4


@pytest.fixture(autouse=True)
def one_thread() -> object:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def corpus(seed: int = 0) -> Corpus:
    return Corpus([split("text", np.frombuffer(TEXT, np.uint8))], seed)


def trained(steps: int, recipe: Recipe = RECIPE) -> Trainer:
    trainer = Trainer(CONFIG, corpus(recipe.seed), recipe)
    for _ in trainer.run(steps):
        pass
    return trainer


def parameters(trainer: Trainer) -> list[np.ndarray]:
    return [parameter.detach().numpy() for parameter in trainer.network.parameters()]


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = trained(12)
    trained(5).save(tmp_path / "half")
    rest = Trainer(CONFIG, corpus(), RECIPE)
    rest.load(tmp_path / "half")
    bits = list(rest.run(12))
    assert len(bits) == 7
    for one, other in zip(parameters(whole), parameters(rest), strict=True):
        np.testing.assert_array_equal(one, other)


def test_seeds_decide() -> None:
    first, again, other = (trained(2, Recipe(**{**RECIPE.__dict__, "seed": seed})) for seed in (1, 1, 2))
    np.testing.assert_array_equal(parameters(first)[0], parameters(again)[0])
    assert not np.array_equal(parameters(first)[0], parameters(other)[0])


def test_it_learns_and_fixed_point_costs_next_to_nothing(tmp_path: Path) -> None:
    trainer = Trainer(CONFIG, corpus(), Recipe(steps=150, batch_symbols=1024, context=128, short_context=64))
    bits = list(trainer.run(150))
    assert np.mean(bits[-10:]) < 0.6 * np.mean(bits[:10])
    runs.export(trainer, tmp_path / "w", trainer.evaluate(), {"data": "context"})
    held_out = corpus().held_out(128, 64)["text"]
    with torch.no_grad():
        float_bits = float(trainer.network.code_lengths(torch.from_numpy(held_out)).mean())
    model = compgen.predictor(f"transformer:{tmp_path / 'w'}")
    exact_bits = np.mean([lengths.mean() for lengths in model.code_lengths([row.tolist() for row in held_out])])
    assert exact_bits / float_bits - 1 < 0.003
    card = weights.load(tmp_path / "w").card
    assert card["data"] == "context"
    assert card["steps"] == 150
    assert card["held_out_bits_per_symbol"]["text"] == pytest.approx(float_bits, rel=1e-3)


def test_float_and_fixed_are_there_and_back(tmp_path: Path) -> None:
    tensors, bits = to_fixed(trained(3).network, torch.from_numpy(corpus().batch(0, 2, 128)))
    weights.save(tmp_path / "w", CONFIG, tensors, bits, {})
    network = to_float(weights.load(tmp_path / "w"))
    again, _ = to_fixed(network, torch.from_numpy(corpus().batch(0, 2, 128)))
    for name, tensor in tensors.items():
        if name != "embedding":  # which is normalised anew
            np.testing.assert_array_equal(tensor, again[name])


def test_the_network_looks_back_only_and_only_as_far_as_its_windows() -> None:
    torch.manual_seed(0)
    config = Config(width=32, layers=1, heads=2, hidden=64, local_window=8, window=20)
    network = Network(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    symbols = torch.randint(0, 256, (1, 300))
    changed = symbols.clone()
    changed[0, 150] = (changed[0, 150] + 1) % 256
    difference = (network(symbols) - network(changed)).abs().amax(-1)[0].detach().numpy()
    assert difference[:151].max() == 0
    assert difference[151] > 0
    assert difference[151 + 20 + 6 :].max() == 0  # its window and the two convolutions
    assert difference[151 + 19] > 0


def test_rates_and_contexts_follow_the_recipe() -> None:
    recipe = Recipe(steps=100, warmup=10, cooldown=0.4, batch_symbols=4096)
    assert [recipe.rate(step) for step in (0, 4, 9, 30, 59)] == [0.1, 0.5, 1, 1, 1]
    assert recipe.rate(60) == 1
    assert recipe.rate(80) == pytest.approx(0.5)
    assert recipe.rate(100) == 0
    assert (recipe.context_at(59), recipe.context_at(60)) == (512, 2048)
    for wrong in ({"steps": 0}, {"context": 100}, {"batch_symbols": 2000}, {"cooldown": 2}):
        with pytest.raises(UsageError):
            Recipe(**wrong)  # type: ignore[arg-type]


# --- corpus ----------------------------------------------------------------------------------------------------------


def test_files_folders_and_packed_files(tmp_path: Path) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "b.txt").write_bytes(b"b" * 100)
    (tmp_path / "folder" / "deep" / "a.gz").write_bytes(gzip.compress(b"a" * 100))
    (tmp_path / "c.xz").write_bytes(lzma.compress(b"c" * 100))
    (tmp_path / "d.zst").write_bytes(zstandard.compress(b"d" * 100))
    found = sources([str(tmp_path / name) for name in ("folder", "c.xz", "d.zst")], 0.1)
    assert [bytes(source.training[:1]) for source in found] == [b"b", b"a", b"c", b"d"]
    assert all((len(source.training), len(source.held_out), source.weight) == (90, 10, 100) for source in found)
    (tmp_path / "bad.xz").write_bytes(b"not xz")
    for name, message in (("bad.xz", r"not a whole \.xz file"), ("none", "no such file")):
        with pytest.raises(BadInputError, match=message):
            sources([str(tmp_path / name)])
    with pytest.raises(UsageError, match="nothing to train on"):
        Corpus([split("empty", np.zeros(0, np.uint8))])
    with pytest.raises(UsageError, match="held out must be"):
        sources([str(tmp_path / "c.xz")], 1.0)


def test_batches_depend_on_seed_and_step_alone_and_follow_the_weights() -> None:
    few = Source("few", np.full(5, 1, np.uint8), np.zeros(0, np.uint8), 1.0)
    many = Source("many", np.full(5000, 2, np.uint8), np.full(300, 3, np.uint8), 3.0)
    first, again, other = Corpus([few, many], 7), Corpus([few, many], 7), Corpus([few, many], 8)
    assert np.array_equal(first.batch(3, 400, 8), again.batch(3, 400, 8))
    assert not np.array_equal(first.batch(3, 400, 8), first.batch(4, 400, 8))
    assert not np.array_equal(first.batch(3, 400, 8), other.batch(3, 400, 8))
    assert np.mean(first.batch(0, 4000, 8) == 1) == pytest.approx(0.25, abs=0.03)
    assert {name: rows.shape for name, rows in first.held_out(100, 2).items()} == {"many": (2, 100)}


def test_named_data_is_fetched_or_the_reason_why_not_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(BadInputError, match="enwik8 cannot be fetched"):
        named("enwik8")
    assert list((tmp_path / "compgen").iterdir()) == []
    (tmp_path / "compgen" / "enwik8").write_bytes(b"x" * 200)
    assert len(sources(["enwik8"], 0.5)[0].training) == 100


# --- the command -----------------------------------------------------------------------------------------------------

SMALL = ["--shape=width=32,layers=1,heads=2,hidden=32", "--batch-symbols=256", "--context=128", "--threads=1"]


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["train", *arguments])
    return result.exit_code, result.output if result.exception is None else str(result.exception)


def test_the_command_trains_goes_on_and_draws(tmp_path: Path) -> None:
    notes, out = tmp_path / "notes.txt", tmp_path / "run"
    notes.write_bytes(TEXT)
    code, printed = run(str(notes), "--out", str(out), "--steps", "3", "--json", *SMALL)
    assert code == 0
    report = json.loads(printed)
    assert report["steps"] == 3
    assert report["held_out_bits_per_symbol"][str(notes)] < 9
    code, printed = run(str(notes), "--out", str(out), "--steps", "6", "--plot", *SMALL)
    assert code == 0
    assert "6 steps" in printed
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert [entry["step"] for entry in runs.log_entries(out / "log.jsonl") if "bits" in entry] == [3, 6]
    model = f"transformer:{out / 'weights.safetensors'}"
    assert compgen.decompress(compgen.compress(TEXT, model), model) == TEXT


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{none}"], "No such file"),
        (["{notes}", "--preset", "7k"], "unknown preset '7k'"),
        (["{notes}", "--shape", "depth=3"], "cannot read 'depth=3'"),
        (["{notes}", "--device", "abacus"], "device 'abacus' cannot be used"),
        (["{notes}", "--batch-symbols", "100"], "a batch must hold"),
        (["{empty}"], "nothing to train on"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "notes.txt").write_bytes(TEXT)
    (tmp_path / "empty").write_bytes(b"")
    names = {"none": tmp_path / "none", "notes": tmp_path / "notes.txt", "empty": tmp_path / "empty"}
    code, printed = run(*(a.format(**names) for a in arguments), "--out", str(tmp_path / "run"), "--steps", "1")
    assert code
    assert message in printed
    assert "\n" not in printed


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    trained(2).save(tmp_path / runs.CHECKPOINT)
    other = Trainer(Config(width=16, heads=2, layers=1, hidden=16), corpus(), RECIPE)
    with pytest.raises(UsageError, match="checkpoint of another network"):
        runs.run(other, tmp_path)
    with pytest.raises(UsageError, match="at step 2 already"):
        runs.run(Trainer(CONFIG, corpus(), Recipe(**{**RECIPE.__dict__, "steps": 1})), tmp_path)
    (tmp_path / runs.CHECKPOINT).write_bytes(b"PK nonsense")
    with pytest.raises(BadInputError, match="not a readable checkpoint"):
        runs.run(Trainer(CONFIG, corpus(), RECIPE), tmp_path)


def test_without_pytorch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    code, printed = run("notes.txt", "--out", str(tmp_path / "run"))
    assert code
    assert "pip install 'compgen[lm]'" in printed
