"""``compgen neuraltext`` and its commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compgen.cli import options, output

if TYPE_CHECKING:
    from compgen.neuraltext import Encoder

F = TypeVar("F", bound=Callable[..., Any])
#: Of these first bytes of a corpus static-ac and bpe learn.
_LEARN_BYTES = 1 << 24


class _Group(options.Described, click.Group):
    """A group whose examples show the program's name, as commands do."""


@click.group("neuraltext", cls=_Group)
def command() -> None:
    """Text as tokens made by compression, and models over them (Lester et al. 2024).

    A small model M1 compresses text by arithmetic coding; a larger one, M2, learns the compressed text. Equal-Info
    Windows make that possible: each window of W bits starts the coder and M1 anew. All tokens decode to the bytes
    they were made of, whatever these are.

    \b
    Examples:
      compgen neuraltext encode notes.txt --window 16 --bits 16 -o notes.tokens
      compgen neuraltext decode notes.tokens -o notes.txt
      compgen neuraltext prepare books/ -o shards --jobs 2
      compgen neuraltext train shards -o run
    """


def _encoders(function: F) -> F:
    """The options that say how bytes become tokens."""
    for option in reversed(
        (
            click.option(
                "--encoder",
                "kind",
                default="equal-info",
                show_default=True,
                metavar="KIND",
                help="equal-info, ac, static-ac, gzip, bpe or bytes.",
            ),
            click.option(
                "--model",
                default="transformer:200k",
                show_default=True,
                metavar="SPEC",
                help="M1, an exact predictor.",
            ),
            click.option(
                "--window",
                "window_bits",
                type=int,
                default=16,
                show_default=True,
                metavar="W",
                help="Bits of a window.",
            ),
            click.option(
                "--bits", "token_bits", type=int, default=8, show_default=True, metavar="N", help="Of a token, 8 or 16."
            ),
            click.option("--delay", is_flag=True, help="The paper's variant without look-ahead."),
            click.option(
                "--reset-model",
                default="every",
                show_default=True,
                metavar="WHEN",
                help="M1 starts anew at every or alternate windows, or never.",
            ),
            click.option(
                "--vocabulary", type=int, default=32_000, show_default=True, metavar="N", help="Tokens that bpe learns."
            ),
            click.option(
                "--document-bytes",
                type=int,
                default=10_240,
                show_default=True,
                metavar="N",
                help="Longer documents are cut.",
            ),
        )
    ):
        function = option(function)
    return function


def _made(kind: str, learn_from: Iterable[bytes], settings: dict[str, Any]) -> Encoder:
    from compgen import neuraltext

    return neuraltext.make(kind, learn_from=learn_from, **settings)


@command.command("encode", cls=options.Described)
@click.argument("file")
@_encoders
@click.option("-o", "--out", metavar="OUT", help="Write here.  [default: standard output]")
@click.option("--ids", is_flag=True, help="Print the token ids instead, a line for each document.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def encode(file: str, kind: str, document_bytes: int, out: str | None, ids: bool, quiet: bool, **settings: Any) -> None:
    """Encode FILE (- is standard input) as a file of tokens, which decode turns back.

    \b
    Examples:
      compgen neuraltext encode notes.txt -o notes.tokens
      compgen neuraltext encode notes.txt --window 32 --bits 16 --model order3 -o notes.tokens
      printf 'to be or not to be' | compgen neuraltext encode - --bits 16 --ids
    """
    from compgen import files
    from compgen.interfaces import adding
    from compgen.neuraltext import tokenfile

    _require_target(out, ids)
    if document_bytes < 1:
        raise click.UsageError(f"--document-bytes must be at least 1, not {document_bytes}")
    data = files.read(file)
    documents = [data[start : start + document_bytes] for start in range(0, len(data), document_bytes)]
    encoder = _made(kind, documents, settings)
    with output.progress(f"encoding {file}", of_bytes=True, quiet=quiet) as progress:
        done = adding(progress, len(data))
        if ids:
            lines = [" ".join(map(str, tokens.tolist())) for tokens in encoder.encode(documents, done)]
        else:
            packed = tokenfile.packed(encoder, documents, done)
    if ids:
        click.echo("\n".join(lines))
    else:
        _write(out, packed)


@command.command("decode", cls=options.Described)
@click.argument("file")
@click.option("-o", "--out", metavar="OUT", help="Write here.  [default: standard output]")
@click.option("--model", metavar="SPEC", help="Where M1 is now, if not where it was; its hash must be the same.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def decode(file: str, out: str | None, model: str | None, quiet: bool) -> None:
    """Decode FILE (- is standard input), which encode made; every byte is checked.

    \b
    Examples:
      compgen neuraltext decode notes.tokens -o notes.txt
      compgen neuraltext encode notes.txt | compgen neuraltext decode - | cmp - notes.txt
    """
    from compgen import files
    from compgen.interfaces import adding
    from compgen.neuraltext import tokenfile

    data = files.read(file)
    name = "standard input" if file == "-" else file
    with output.progress(f"decoding {file}", quiet=quiet) as progress:
        _write(out, tokenfile.unpacked(data, model, name, adding(progress, 0)))


@command.command("prepare", cls=options.Described)
@click.argument("data", metavar="DATA...", nargs=-1, required=True)
@click.option("-o", "--out", type=Path, required=True, metavar="DIR", help="Folder of the shards.")
@_encoders
@click.option("--limit", type=options.size, metavar="SIZE", help="Take the first so many bytes only, as in 64M.")
@click.option(
    "--skip", type=options.size, default="0", metavar="SIZE", help="Leave out so many bytes before that.  [default: 0]"
)
@click.option("--encoder-file", type=Path, metavar="FILE", help="Take the encoder of this encoder.json instead.")
@click.option(
    "--shard-bytes",
    type=options.size,
    default="4M",
    show_default=True,
    metavar="SIZE",
    help="Bytes of text in a shard.",
)
@options.workers
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")
def prepare(
    data: tuple[str, ...],
    out: Path,
    kind: str,
    document_bytes: int,
    limit: int | None,
    skip: int,
    encoder_file: Path | None,
    shard_bytes: int,
    jobs: int | None,
    backend: str | None,
    as_json: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Encode a corpus as shards of tokens in DIR, with a manifest.

    DATA are files and folders: text, JSON lines, Arrow and Parquet, packed or not. Stopped at any time, the same
    command goes on where it was.

    \b
    Examples:
      compgen neuraltext prepare books/ -o shards --window 16 --bits 16 --jobs 2
      compgen neuraltext prepare wiki.xz -o test --skip 95M --encoder-file shards/encoder.json
    """
    from itertools import islice

    from compgen.interfaces import adding
    from compgen.neuraltext import Encoder, corpus

    def documents() -> Iterable[bytes]:
        return corpus.pieces(data, document_bytes, skip, limit)

    if encoder_file is None:
        encoder = _made(kind, islice(documents(), max(1, _LEARN_BYTES // document_bytes)), settings)
    else:
        encoder = Encoder.load(encoder_file)
    about = {"data": list(data), "skip_bytes": skip, "limit_bytes": limit, "document_bytes": document_bytes}
    with options.working(jobs, backend), output.progress("encoding", of_bytes=True, quiet=quiet) as progress:
        shards = corpus.prepare(
            encoder, documents(), out, shard_bytes=shard_bytes, about=about, done=adding(progress, 0)
        )
    manifest = shards.manifest
    if as_json:
        output.show_json({key: value for key, value in manifest.items() if key != "shards"})
    elif not quiet:
        table = output.table("encoder", "bytes", "tokens", "bytes/token", right=("bytes", "tokens", "bytes/token"))
        table.add_row(
            encoder.label, f"{manifest['bytes']:,}", f"{manifest['tokens']:,}", f"{shards.bytes_per_token:.3f}"
        )
        output.show(table)


@command.command("train", cls=options.Described)
@click.argument("shards", type=Path)
@click.option("-o", "--out", type=Path, required=True, metavar="DIR", help="Folder of the run.")
@click.option("--held-out", type=Path, metavar="SHARDS", help="Judge by these.  [default: the last 5 %]")
@click.option("--preset", "size", default="200k", show_default=True, metavar="SIZE", help="M2, as in compgen train.")
@click.option("--shape", "changes", metavar="K=V,...", help="Changes to the preset: width, layers, heads, hidden.")
@click.option("--steps", type=int, default=1000, show_default=True, metavar="N", help="Batches to learn from.")
@click.option("--batch-tokens", type=int, metavar="N", help="Tokens in a batch.  [default: 8192, or 2048 of bits 16]")
@click.option("--context", type=int, default=512, show_default=True, metavar="N", help="Tokens in a sequence.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="The same seed, the same weights.")
@click.option("--device", metavar="NAME", help="cpu or cuda.  [default: cuda where there is one]")
@click.option("--threads", type=int, metavar="N", help="Threads of the CPU.  [default: one a core]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")
def train(
    shards: Path,
    out: Path,
    held_out: Path | None,
    as_json: bool,
    quiet: bool,
    size: str,
    changes: str | None,
    **settings: Any,
) -> None:
    """Train M2, a transformer of compgen train, over the tokens in SHARDS.

    Stopped at any time, the same command goes on from the last checkpoint. DIR/result.json is what report reads.

    \b
    Examples:
      compgen neuraltext train shards -o run
      compgen neuraltext train shards --held-out test -o run --preset 800k --steps 5000
    """
    from compgen.errors import MissingExtraError
    from compgen.neuraltext import corpus

    try:
        import torch
    except ImportError:
        raise MissingExtraError("compgen neuraltext train", "lm") from None
    from compgen.neuraltext import learning

    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    device = settings["device"] or ("cuda" if torch.cuda.is_available() else "cpu")
    data = corpus.Shards(shards)
    trainer = learning.trainer(
        data,
        None if held_out is None else corpus.Shards(held_out),
        size=size,
        changes=changes,
        recipe=learning.recipe(
            settings["steps"],
            settings["batch_tokens"] or learning.batch_tokens(data.vocab_size),
            settings["context"],
            settings["seed"],
        ),
        device=device,
    )
    with output.progress("training M2", quiet=quiet) as progress:
        tell = None if progress is None else (lambda status: progress(status.step, status.steps))
        result = learning.run(trainer, data, out, tell=tell)
    if as_json:
        output.show_json(result)
    elif not quiet:
        show_results([result])


@command.command("report", cls=options.Described)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=Path)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
def report(runs: tuple[Path, ...], as_json: bool) -> None:
    """Put runs of compgen neuraltext train in one table, beside the paper's smallest M2 (25 million parameters).

    \b
    Examples:
      compgen neuraltext report run
      compgen neuraltext report runs/bytes runs/ac runs/equal-info
    """
    from compgen import files
    from compgen.errors import BadInputError
    from compgen.neuraltext import paper

    results = []
    for run in runs:
        path = run / "result.json"
        try:
            results.append(json.loads(path.read_bytes()))
        except OSError as error:
            raise BadInputError(
                f"cannot read {path}: {files.reason(error)}; compgen neuraltext train writes it at its end"
            ) from None
        except ValueError:
            raise BadInputError(f"{path} is damaged: it is not JSON") from None
    if as_json:
        output.show_json(paper.beside(results))
    else:
        show_results(results)


@command.command("analyze", cls=options.Described)
@click.argument("shards", type=Path)
@click.option("--held-out", type=Path, metavar="SHARDS", help="Measure on these.  [default: the last 10 %]")
@click.option("--text", metavar="FILE", help="Also see how stable the map from this text to tokens is.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
def analyze(shards: Path, held_out: Path | None, text: str | None, as_json: bool) -> None:
    """Ask what there is to learn in SHARDS: bits by uniform, unigram and bigram models of tokens.

    With --text also: how much of the tokens stays the same when a byte is put before a text, how soon, and how often a
    word has the same tokens at two places.

    \b
    Examples:
      compgen neuraltext analyze shards
      compgen neuraltext analyze shards --text notes.txt --json
    """
    from compgen import files
    from compgen.neuraltext import analysis, corpus

    data = corpus.Shards(shards)
    found = analysis.statistics(data, None if held_out is None else corpus.Shards(held_out))
    if text is not None:
        content = files.read(text)
        documents = [content[start : start + 2048] for start in range(0, len(content), 2048)]
        found.update(analysis.stability(data.encoder(), documents), **analysis.repetition(data.encoder(), documents))
    if as_json:
        output.show_json(found)
        return
    table = output.table("", "", right=("",))
    for name, value in found.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else f"{value:.4f}")
    output.show(table)


def show_results(results: list[dict[str, Any]]) -> None:
    """Print results of M2 beside the paper's."""
    from compgen.neuraltext import paper

    ours = ("vocabulary", "bytes/token", "uniform", "bits/byte", "of uniform", "kFLOP/byte")
    columns = (*ours, "paper: bytes/token", "uniform ", "bits/byte ", "of uniform ")
    table = output.table("tokens", *columns, right=columns)
    for row in paper.beside(results):
        theirs = (row["paper_bytes_per_token"], row["paper_bits_per_byte_25m"])
        uniform = row["uniform_bits_per_token"] / theirs[0] if theirs[0] else None
        table.add_row(
            paper.method(row["encoder"]) or "other settings",
            f"{row['vocab_size']:,}",
            f"{row['bytes_per_token']:.3f}",
            f"{row['uniform_bits_per_byte']:.3f}",
            f"{row['bits_per_byte']:.3f}",
            f"{100 * row['part_of_uniform']:.1f} %",
            f"{row['flops_per_byte'] / 1000:,.0f}",
            "" if theirs[0] is None else f"{theirs[0]:.2f}",
            "" if uniform is None else f"{uniform:.2f}",
            "" if theirs[1] is None else f"{theirs[1]:.2f}",
            "" if uniform is None or theirs[1] is None else f"{100 * theirs[1] / uniform:.1f} %",
        )
    output.show(table)


def _require_target(out: str | None, ids: bool) -> None:
    if out in (None, "-") and not ids and sys.stdout.isatty():
        raise click.UsageError("a terminal cannot show a file of tokens; write it with -o OUT, or print --ids")
    if ids and out is not None:
        raise click.UsageError("--ids prints on standard output; leave out -o")


def _write(out: str | None, data: bytes) -> None:
    from compgen import files

    if out in (None, "-"):
        sys.stdout.buffer.write(data)
    else:
        files.write(Path(str(out)), data)
