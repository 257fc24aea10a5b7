"""How fast does ``hf:`` code beside the model's own generation with a cache?

Run:  python scripts/bench_huggingface.py [--streams 64] [--steps 128] [--width 256] [--layers 4] [--vocabulary 50257]

Makes a small GPT-2 with random weights and a byte-level tokenizer, and compares in one process, taking turns: plain
generation (the model step by step with the library's cache, the likeliest token next, no coding), encoding and
decoding, all with the same number of streams and steps. Ratios are of medians. Prints a table and one last line of
JSON. ``--context`` below ``--steps`` shows what sliding costs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
import string
import tempfile
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import compgen
from compgen.datasets import default_context


def make_tokenizer(size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE that merges all short strings of letters, up to a size: it needs no training."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = "Ġ" + string.ascii_lowercase
    vocabulary = {text: i for i, text in enumerate(["<|endoftext|>", *alphabet])}
    merges = []
    for length in (2, 3, 4):
        for parts in itertools.product(letters, repeat=length):
            text = "".join(parts)
            if len(vocabulary) < size:
                merges.append((text[:-1], text[-1]))
                vocabulary[text] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>")


def make_model(folder: str, options: argparse.Namespace) -> None:
    torch.manual_seed(0)
    make_tokenizer(options.vocabulary).save_pretrained(folder)
    config = GPT2Config(
        vocab_size=options.vocabulary,
        n_positions=1024,
        n_embd=options.width,
        n_layer=options.layers,
        n_head=max(1, options.width // 64),
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)


def generate(folder: str, streams: int, dtype: str, device: str) -> Callable[[int], None]:
    """Plain generation: ``steps`` tokens on each stream."""
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=getattr(torch, dtype)).to(device).eval()

    def work(steps: int) -> None:
        with torch.inference_mode():
            cache, tokens = (
                DynamicCache(config=model.config),
                torch.zeros((streams, 1), dtype=torch.long, device=device),
            )
            for _ in range(steps):
                logits = model(input_ids=tokens, past_key_values=cache, use_cache=True).logits[:, -1]
                tokens = logits.argmax(1, keepdim=True)
            tokens.cpu()

    return work


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Time on the wall and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("streams", 64), ("steps", 128), ("width", 256), ("layers", 4), ("vocabulary", 50257)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--context", type=int, default=0, help="tokens, 0 for the model's 1024")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        make_model(folder, options)
        row = measure(folder, options)
    table = Table("", "tokens/s", "of plain, wall", "of plain, processor")
    for name in ("plain", "encode", "decode"):
        table.add_row(name, *(f"{row[key]:.4g}" for key in (f"{name}_tokens_s", f"{name}_wall", f"{name}_cpu")))
    Console().print(table)
    print(json.dumps({**vars(options), **row, "machine": platform.machine(), "torch": torch.__version__}))


def measure(folder: str, options: argparse.Namespace) -> dict[str, float]:
    spec = f"hf:{folder},streams={options.streams},dtype={options.dtype},device={options.device}"
    predictor = compgen.predictor(f"{spec},context={options.context},threads={options.threads}")
    data = take(predictor, options.streams * options.steps)
    plain = generate(folder, options.streams, options.dtype, options.device)
    code = predictor.encode_block(data)
    assert predictor.decode_block(code, len(data)) == data
    works: dict[str, Callable[[], object]] = {
        "plain": lambda: plain(options.steps),
        "encode": lambda: predictor.encode_block(data),
        "decode": lambda: predictor.decode_block(code, len(data)),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(options.rounds):
        for name, work in works.items():
            times[name].append(seconds(work))
    wall, cpu = ({name: statistics.median(t[i] for t in times[name]) for name in works} for i in (0, 1))
    row = {"bits_per_byte": 8 * len(code) / len(data)}
    for name in works:
        row[f"{name}_tokens_s"] = options.streams * options.steps / wall[name]
        row[f"{name}_wall"] = wall["plain"] / wall[name]
        row[f"{name}_cpu"] = cpu["plain"] / cpu[name]
    return row


def take(predictor: compgen.Predictor, tokens: int) -> bytes:
    """Text of so many tokens."""
    from compgen.predictors.huggingface.coder import cut

    vocabulary = predictor.load().vocabulary  # type: ignore[attr-defined]
    text = default_context() * (2 + tokens // 256)
    return bytes(vocabulary.join(cut(text, vocabulary).tokens[:tokens]))


if __name__ == "__main__":
    main()
