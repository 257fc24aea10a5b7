"""Train the transformers that ship with the package, on the text under COMPGEN_DATA.

    COMPGEN_DATA=... python scripts/train_builtin_models.py 200k --steps 40000 --out work/200k

Held out: the last 5 % of every file, the first 1,000,000 bytes of enwik8, and the pages of the 2016 Wikipedia sample
whose titles occur in those bytes (they are later versions of the same articles). Stop it at any time: the same command
goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

import numpy as np
import torch

from compgen.datasets.reading import read_file
from compgen.predictors.transformer import runs
from compgen.predictors.transformer.config import PRESETS
from compgen.predictors.transformer.corpus import Corpus, Source, split
from compgen.predictors.transformer.training import Recipe, Trainer

#: File and share of the samples.
MIX = {
    "enwiki2016_xml_206pages.xz": 0.22,
    "enwik8_0_3002913.xz": 0.13,
    "wiki_en_2014_plain_100MB.xz": 0.37,
    "novels12.xz": 0.08,
    "python_thealgorithms.xz": 0.08,
    "math_tex_stacks.xz": 0.05,
    "web_ud_ewt_train.xz": 0.07,
}
ENWIK8_HELD_OUT = 1_000_000


def without_pages(xml: bytes, titles: set[bytes]) -> bytes:
    """Wikipedia's XML without the pages that have one of these titles."""
    parts = re.split(rb"(?=<page>)", xml)
    kept = [part for part in parts if not ((m := re.search(rb"<title>(.*?)</title>", part)) and m[1] in titles)]
    return b"".join(kept)


def sources(data: Path) -> list[Source]:
    found = []
    for name, weight in MIX.items():
        content = read_file(data / "text" / name)
        if name.startswith("enwik8"):
            titles = set(re.findall(rb"<title>(.*?)</title>", content[:ENWIK8_HELD_OUT]))
            content = content[ENWIK8_HELD_OUT:]
        found.append((name, content, weight))
    return [
        split(name, np.frombuffer(without_pages(text, titles) if "xml" in name else text, np.uint8), weight)
        for name, text, weight in found
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", choices=list(PRESETS))
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint and log")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--batch-symbols", type=int, default=Recipe.batch_symbols)
    parser.add_argument("--cooldown", type=float, default=Recipe.cooldown)
    parser.add_argument("--short-context", type=int, default=Recipe.short_context)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = Recipe(
        steps=arguments.steps,
        batch_symbols=arguments.batch_symbols,
        cooldown=arguments.cooldown,
        short_context=arguments.short_context,
        seed=arguments.seed,
    )
    corpus = Corpus(sources(Path(os.environ["COMPGEN_DATA"])), arguments.seed)
    trainer = Trainer(PRESETS[arguments.preset], corpus, recipe, device=arguments.device, compiled=arguments.compile)
    runs.run(trainer, arguments.out, card={"name": arguments.preset, "data": MIX}, tell=_tell)


def _tell(status: runs.Status) -> None:
    if status.step % 100 == 0 or status.step == status.steps:
        rates = {name[:12]: round(rate, 4) for name, rate in status.held_out.items()}
        print(f"step {status.step}: {status.bits:.4f} bits a byte; held out {rates}", flush=True)


if __name__ == "__main__":
    main()
