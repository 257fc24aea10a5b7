"""What does ``compgen evaluate`` cost beside the forward passes that it makes?

Run:  python scripts/bench_evaluation.py [--windows 12] [--width 256] [--layers 4] [--vocabulary 8000] [--batch 4]

Makes a small GPT-2 with random weights and a text of so many windows of 1900 tokens, 512 apart, and compares in one
process, taking turns: the bare forward passes over the same windows in the same batches (logits of all positions, and
logits of those that are scored only), and the whole of ``compgen.evaluate`` under ``opencompass``, from the text to the
result: reading, tokenising, writing the tokens, loss and sums. Ratios are of medians. Prints a table and one last line
of JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from bench_huggingface import make_tokenizer
from rich.console import Console
from rich.table import Table
from transformers import GPT2Config, GPT2LMHeadModel

import compgen
from compgen.datasets import default_context
from compgen.evaluation.windows import BLOCK_SIZE, STRIDE, Geometry, opencompass


def make(folder: Path, options: argparse.Namespace) -> None:
    torch.manual_seed(0)
    make_tokenizer(options.vocabulary).save_pretrained(folder / "model")
    shape = {"n_embd": options.width, "n_layer": options.layers, "n_head": max(1, options.width // 64)}
    config = GPT2Config(vocab_size=options.vocabulary, n_positions=2048, bos_token_id=0, eos_token_id=0, **shape)
    GPT2LMHeadModel(config).save_pretrained(folder / "model")


def write_text(folder: Path, windows: int, predictor: compgen.Predictor) -> np.ndarray:
    """A text of so many windows, and its tokens."""
    tokenizer = predictor.load().vocabulary.tokenizer  # type: ignore[attr-defined]
    wanted = BLOCK_SIZE + 1 + STRIDE * (windows - 1)
    text = default_context().decode() * (1 + wanted // 400)
    ids = tokenizer(text)["input_ids"][:wanted]
    text = tokenizer.decode(ids)
    (folder / "text.txt").write_text(text)
    return np.array(tokenizer(text)["input_ids"])


def forward(predictor: compgen.Predictor, ids: np.ndarray, batch: int, all_logits: bool) -> Callable[[], object]:
    """The bare passes: nothing is done with the logits."""
    model = predictor.load()  # type: ignore[attr-defined]
    plan = opencompass(len(ids), Geometry())
    batches = [
        (np.stack([ids[first : end - 1] for first, _, end, _ in part]), max(int(e - s) for _, s, e, _ in part))
        for part in (plan[i : i + batch] for i in range(0, len(plan), batch))
    ]

    def work() -> None:
        with torch.inference_mode():
            for rows, scored in batches:
                model.logits(rows, 0 if all_logits else scored)

    return work


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Time on the wall and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("windows", 12), ("width", 256), ("layers", 4), ("vocabulary", 8000), ("batch", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        row = measure(Path(name), options)
    table = Table("", "seconds", "over the bare passes, wall", "processor")
    for name in ("all logits", "bare passes", "evaluate"):
        table.add_row(name, *(f"{row[f'{name}, {key}']:.3f}" for key in ("seconds", "wall", "processor")))
    Console().print(table)
    print(json.dumps({**vars(options), **row, "machine": platform.machine(), "torch": torch.__version__}))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    make(folder, options)
    predictor = compgen.predictor(f"hf:{folder / 'model'},threads={options.threads}")
    ids = write_text(folder, options.windows, predictor)

    def evaluate() -> object:
        return compgen.evaluate(predictor, folder / "text.txt", protocol="opencompass", batch_size=options.batch)

    works: dict[str, Callable[[], object]] = {
        "all logits": forward(predictor, ids, options.batch, True),
        "bare passes": forward(predictor, ids, options.batch, False),
        "evaluate": evaluate,
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for number in range(options.rounds + 1):
        for name, work in works.items():
            spent = seconds(work)
            if number:  # the first round warms up
                times[name].append(spent)
    wall, cpu = ({name: statistics.median(t[i] for t in times[name]) for name in works} for i in (0, 1))
    row: dict[str, float] = {}
    for name in works:
        row[f"{name}, seconds"] = wall[name]
        row[f"{name}, wall"] = wall[name] / wall["bare passes"]
        row[f"{name}, processor"] = cpu[name] / cpu["bare passes"]
    return row


if __name__ == "__main__":
    main()
