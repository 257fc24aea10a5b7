"""``compgen train``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from compgen.cli import options, output


@click.command("train", cls=options.Described)
@click.argument("data", metavar="DATA...", nargs=-1, required=True)
@click.option("-o", "--out", type=Path, required=True, metavar="DIR", help="Folder of the run.")
@click.option("--preset", default="200k", show_default=True, metavar="SIZE", help="200k, 800k, 3.2m, ... or custom.")
@click.option("--shape", metavar="K=V,...", help="Changes to the preset: width, layers, heads, hidden, windows.")
@click.option(
    "--vocabulary", type=int, metavar="N", help="Tokens of byte pairs to learn, 257 or more.  [default: bytes]"
)
@click.option("--steps", type=int, default=20_000, show_default=True, metavar="N", help="Batches to learn from.")
@click.option("--batch-symbols", type=int, default=16_384, show_default=True, metavar="N", help="Symbols in a batch.")
@click.option("--context", type=int, default=2048, show_default=True, metavar="N", help="Longest sequences.")
@click.option(
    "--held-out", type=float, default=0.05, show_default=True, metavar="P", help="Part of each file not learnt."
)
@click.option("--rate", type=float, metavar="R", help="Learning rate of the matrices.  [default: 0.02]")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="The same seed, the same weights.")
@click.option("--device", metavar="NAME", help="cpu or cuda.  [default: cuda where there is one]")
@click.option("--threads", type=int, metavar="N", help="Threads of the CPU.  [default: one a core]")
@click.option("--compile", "compiled", is_flag=True, help="Let PyTorch compile the network: faster after a minute.")
@click.option("--plot", is_flag=True, help="Draw the curve to DIR/curve.png (needs the extra plots).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")
def command(data: tuple[str, ...], out: Path, plot: bool, as_json: bool, quiet: bool, **settings: Any) -> None:
    """Train a transformer on DATA: files, folders, .xz, .gz and .zst files, or data sets by name, such as enwik8.

    Its symbols are bytes, or with --vocabulary tokens that are learnt from DATA first.

    DIR gets checkpoints every minute, a log in JSON lines, and at the end weights.safetensors, exact on every machine.
    Stopped at any time, the same command goes on from the last checkpoint; more --steps prolong a finished run.

    \b
    Examples:
      compgen train notes.txt --out run --steps 200 --batch-symbols 4096
      compgen train books/ enwik8 --preset 800k --out run --plot
      compgen train enwik8 --vocabulary 1000 --out run
      compgen compress --predictor transformer:run/weights.safetensors notes.txt
    """
    from compgen.errors import MissingExtraError

    try:
        import torch  # noqa: F401  # what the rest is made of
    except ImportError:
        raise MissingExtraError("compgen train", "lm") from None
    from compgen.predictors.transformer import runs

    trainer = _trainer(data, settings, quiet)
    with output.progress(f"training {settings['preset']}", quiet=quiet) as progress:
        tell = None if progress is None else (lambda status: progress(status.step, status.steps))
        status = runs.run(trainer, out, card={"data": list(data)}, tell=tell)
    written = [out / runs.WEIGHTS] + ([runs.draw_curve(out)] if plot else [])
    if as_json:
        output.show_json(
            {
                "steps": status.step,
                "parameters": trainer.network.config.parameters,
                "bits_per_symbol": status.bits,
                "held_out_bits_per_symbol": status.held_out,
                "held_out_bits_per_byte": status.held_out_per_byte,
                "vocabulary": trainer.network.config.vocabulary,
                "files": [str(path) for path in written],
            }
        )
    elif not quiet:
        columns = ("bits per byte",) if trainer.corpus.pairs is None else ("bits per byte", "bits per symbol")
        table = output.table("held out", *columns, right=columns)
        for name, rate in status.held_out_per_byte.items():
            rates = (rate, status.held_out[name])[: len(columns)]
            table.add_row(output.printable(name), *(f"{number:.4f}" for number in rates))
        output.show(table, f"{trainer.network.config.parameters:,} parameters, {status.step:,} steps: {written[0]}")


def _trainer(data: tuple[str, ...], settings: dict[str, Any], quiet: bool) -> Any:
    import torch

    from compgen.predictors.transformer.bpe_training import learn
    from compgen.predictors.transformer.config import preset
    from compgen.predictors.transformer.corpus import Corpus, sources, tokenised
    from compgen.predictors.transformer.training import Recipe, Trainer

    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    recipe = Recipe(
        steps=settings["steps"],
        batch_symbols=settings["batch_symbols"],
        context=settings["context"],
        short_context=min(512, settings["context"]),
        seed=settings["seed"],
        **({"matrix_rate": settings["rate"]} if settings["rate"] else {}),
    )
    device = settings["device"] or ("cuda" if torch.cuda.is_available() else "cpu")
    config = preset(settings["preset"], settings["shape"])
    with output.progress("fetching data", of_bytes=True, quiet=quiet) as progress:
        files = sources(data, settings["held_out"], progress)
    pairs = None
    if settings["vocabulary"] is not None:
        pairs = learn((source.training for source in files), settings["vocabulary"])
        files, config = tokenised(files, pairs), dataclasses.replace(config, vocabulary=len(pairs))
    corpus = Corpus(files, settings["seed"], pairs)
    return Trainer(config, corpus, recipe, device=device, compiled=settings["compiled"])
