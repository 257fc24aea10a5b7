"""The finding of Lester et al. 2024 in small: transformers learn Equal-Info Windows, and not plain arithmetic codes.

    COMPGEN_DATA=... python scripts/neuraltext_experiment.py -o DIR [--threads 2] [--methods ac-8 equal-info-16-8 ...]

M1 is the smallest transformer that ships. M2 is a 200k transformer of compgen train, from scratch, on tokens of 1 MB of
Wikipedia that M1 has not seen, judged on 0.1 MB more; documents have 2048 bytes. Less than half an hour on two cores;
--steps and --train-bytes go further. Stopped at any time, the same command goes on. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import torch

from compgen.cli.neuraltext import show_results
from compgen.neuraltext import analysis, corpus, learning, make, paper

TEXT = "text/wiki_en_2014_plain_100MB.xz"
#: Where the last 5 % of the file begin, which M1 has not learnt.
SKIP = 95_000_000
DOCUMENT_BYTES, CONTEXT = 2048, 512
METHODS: dict[str, dict[str, Any]] = {
    "ac-8": {"kind": "ac", "token_bits": 8},
    "equal-info-16-8": {"kind": "equal-info", "window_bits": 16, "token_bits": 8},
    "bytes": {"kind": "bytes"},
    "gzip-8": {"kind": "gzip", "token_bits": 8},
    "static-ac-8": {"kind": "static-ac", "token_bits": 8},
    "equal-info-32-8": {"kind": "equal-info", "window_bits": 32, "token_bits": 8},
    "equal-info-16-16": {"kind": "equal-info", "window_bits": 16, "token_bits": 16},
}


def one(name: str, data: Path, folder: Path, sizes: argparse.Namespace) -> dict[str, Any]:
    """Prepare tokens, train M2 over them, look at them."""
    start = time.perf_counter()
    names = [str(data / TEXT)]
    train = list(corpus.pieces(names, DOCUMENT_BYTES, SKIP, sizes.train_bytes))
    test = list(corpus.pieces(names, DOCUMENT_BYTES, SKIP + sizes.train_bytes, sizes.test_bytes))
    encoder = make(learn_from=train, **METHODS[name])
    shards = corpus.prepare(encoder, train, folder / name / "train", shard_bytes=1 << 19)
    held_out = corpus.prepare(encoder, test, folder / name / "test")
    # Logits over 65,536 tokens take 256 times the memory, and most of the time.
    batch = sizes.batch_tokens if encoder.vocab_size <= 256 else max(CONTEXT, sizes.batch_tokens // 4)
    made = learning.trainer(shards, held_out, recipe=learning.recipe(sizes.steps, batch, CONTEXT))
    print(f"{name}: {shards.bytes_per_token:.3f} bytes/token after {time.perf_counter() - start:.0f} s", flush=True)
    result = learning.run(made, shards, folder / name / "run")
    found = {
        **analysis.statistics(shards, held_out),
        **analysis.stability(encoder, test[:16]),
        **analysis.repetition(encoder, [document[:512] for document in test[:24]], 12, 10),
    }
    return {**result, "analysis": found, "seconds": round(time.perf_counter() - start)}


def show_analysis(results: dict[str, dict[str, Any]]) -> None:
    print(
        "\nbits a token by          uniform  unigram  bigram     M2   same tokens  same word   by place in the window"
    )
    for name, result in results.items():
        found = result["analysis"]
        lengths = (found[f"{model}_bits_per_token"] for model in ("uniform", "unigram", "bigram"))
        places = "  ".join(
            f"{row['bits_per_token']:.2f} ({100 * row['accuracy']:.0f} %)" for row in result["by_position"]
        )
        print(
            f"{name:22}",
            *(f"{bits:8.3f}" for bits in (*lengths, result["bits_per_token"])),
            f"{100 * found['same_tokens']:10.1f} % {100 * found['same_word']:8.1f} %   {places}",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--train-bytes", type=int, default=1_000_000)
    parser.add_argument("--test-bytes", type=int, default=100_000)
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data, results = Path(os.environ["COMPGEN_DATA"]), {}
    for name in arguments.methods:
        results[name] = one(name, data, arguments.out, arguments)
        print(json.dumps(results[name]), flush=True)
    show_results(list(results.values()))
    show_analysis(results)
    print(json.dumps({"experiment": "neuraltext", "results": paper.beside(list(results.values()))}))


if __name__ == "__main__":
    main()
