"""``compgen bench``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compgen.cli import options, output

if TYPE_CHECKING:
    from compgen.benchmark.engine import Run
    from compgen.benchmark.rows import Row

F = TypeVar("F", bound=Callable[..., Any])


class _Group(options.Described, click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which a reader wants them


@click.group("bench", cls=_Group)
def command() -> None:
    """Measure compression as the paper does, on any data: its tables and figures, one command each.

    Every experiment leaves rows (JSON lines, CSV) and a report (Markdown, one HTML page) in a folder. Stopped at any
    time, the same command goes on from where it was. A DATASET is enwik8, enwik9, imagenet, librispeech, random, or the
    path of a file or folder.

    \b
    Examples:
      compgen bench rates notes.txt --model gzip --model cm
      compgen bench rates enwik8 imagenet --limit-chunks 1500 --jobs 2
      compgen bench all --limit-chunks 64 --out bench
    """


def _all_of(*those: Callable[[Any], Any]) -> Callable[[F], F]:
    """Several options as one, in this order in the help."""

    def decorate(function: F) -> F:
        for option in reversed(those):
            function = option(function)
        return function

    return decorate


#: Which data, and how much of them.
_data = _all_of(
    click.option(
        "--limit-chunks",
        type=int,
        metavar="N",
        help="The first N chunks of each.  [default: rates 512, in-context 100, scaling and tokenizers 64]",
    ),
    click.option("--limit-bytes", type=options.size, metavar="N", help="The first N bytes of each instead."),
    click.option(
        "--chunk-size",
        "chunk_bytes",
        type=options.size,
        default="2048",
        show_default=True,
        metavar="N",
        help="Bytes a chunk.",
    ),
    click.option(
        "--layout",
        type=click.Choice(["compgen", "paper"]),
        default="compgen",
        show_default=True,
        help="paper: the habits of the paper's public code.",
    ),
    click.option(
        "--bits", type=click.Choice(["8", "16"]), default="8", show_default=True, help="Bits a sample of audio."
    ),
    click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of random data and samples."),
)
#: What to train where models are missing.
_training = _all_of(
    click.option(
        "--train",
        multiple=True,
        metavar="SIZE",
        help="Train a model of this size (200k, 800k, 3.2m, ...) if need be; several times for more.",
    ),
    click.option("--train-data", metavar="DATASET", help="What to train on.  [default: the first DATASET]"),
    click.option("--steps", type=int, default=2000, show_default=True, metavar="N", help="Batches to train on."),
)
#: How it is run, and what it leaves.
_running = _all_of(
    click.option(
        "--out",
        type=Path,
        default=Path("bench"),
        show_default=True,
        metavar="DIR",
        help="Folder of rows and report.",
    ),
    click.option(
        "--cache",
        type=Path,
        metavar="DIR",
        help="Keep results here too, for other runs.  [default: in the user's cache]",
    ),
    click.option("--no-cache", is_flag=True, help="Keep results in the folder of the run only."),
    options.workers,
    click.option("--json", "as_json", is_flag=True, help="Print the rows as one JSON document."),
    click.option("-q", "--quiet", is_flag=True, help="No progress bar, and no tables."),
)


@command.command("rates", cls=options.Described, short_help="Table 1: compression rates, in chunks and whole.")
@click.argument("datasets", metavar="[DATASET]...", nargs=-1)
@click.option("--model", "models", multiple=True, metavar="SPEC", help="A codec or predictor; several times for more.")
@_data
@click.option(
    "--whole",
    type=click.Choice(["none", "weightless", "all"]),
    default="weightless",
    show_default=True,
    help="What is coded as one stream too.",
)
@click.option("--only-whole", is_flag=True, help="No chunks.")
@click.option(
    "--charge",
    type=click.Choice(["parameters", "files"]),
    default="parameters",
    show_default=True,
    help="What adjusted rates add: 2 bytes a parameter, or the size of the weight files.",
)
@_running
def rates(
    datasets: tuple[str, ...], models: tuple[str, ...], only_whole: bool, whole: str, charge: str, **rest: Any
) -> None:
    """Table 1: rates of codecs and models on each DATASET, in chunks and whole, raw and adjusted.

    \b
    Examples:
      compgen bench rates notes.txt --model gzip --model lzma2 --model cm
      compgen bench rates imagenet --model png --layout paper --limit-chunks 1500
      compgen bench rates enwik9 --limit-bytes 1G --jobs 64 --backend dask:tcp://10.0.0.1:8786
    """
    from compgen.benchmark import rates as module

    def work(run: Run, settings: dict[str, Any]) -> list[Row]:
        return module.rates(
            datasets or module.DATASETS,
            models or module.MODELS,
            chunked=not only_whole,
            whole=whole,
            charge=charge,
            run=run,
            **settings,
        )

    _run("rates", work, rest, limit_chunks=module.CHUNKS)


_models = click.option(
    "--model", "models", multiple=True, metavar="SPEC", help="A codec or predictor; several times for more."
)
_charge = click.option(
    "--charge",
    type=click.Choice(["parameters", "files"]),
    default="parameters",
    show_default=True,
    help="What adjusted rates add: 2 bytes a parameter, or the size of the weight files.",
)


@command.command("scaling", cls=options.Described, short_help="Figure 2: adjusted rate by size of model.")
@click.argument("datasets", metavar="[DATASET]...", nargs=-1)
@_models
@click.option(
    "--size",
    "sizes",
    multiple=True,
    type=options.decimal_size,
    metavar="N",
    help="Bytes of a data set, as 10MB or 1GB; several times for more.  [default: 1MB, 10MB, 100MB, 1GB]",
)
@_training
@_charge
@_data
@_running
def scaling(
    datasets: tuple[str, ...], models: tuple[str, ...], sizes: tuple[int, ...], charge: str, **rest: Any
) -> None:
    """Figure 2: adjusted rate against the size of the model, for several sizes of each DATASET.

    Models are trained transformers, those that ship unless named; --train makes more. Rates are measured on chunks that
    are spread evenly over the first bytes of the data, 64 unless --limit-chunks says otherwise.

    \b
    Examples:
      compgen bench scaling enwik8
      compgen bench scaling enwik8 --train 330k --train 1.6m --steps 5000 --size 10MB --size 1GB
      compgen bench scaling notes.txt --model transformer:run/weights.safetensors --size 1MB
    """
    from compgen.benchmark import scaling as module

    def work(run: Run, settings: dict[str, Any]) -> list[Row]:
        sets = datasets or module.DATASETS
        trained = _train(rest, sets, settings)
        chosen = [*models, *trained] or None
        chunks = settings.pop("limit_chunks") or module.CHUNKS
        return module.scaling(
            sets, chosen, sizes_bytes=sizes or module.SIZES_BYTES, chunks=chunks, charge=charge, run=run, **settings
        )

    _run("scaling", work, rest, module.CHUNKS)


@command.command("in-context", cls=options.Described, short_help="Figures 4 and 6: rate by position.")
@click.argument("datasets", metavar="[DATASET]...", nargs=-1)
@_models
@_data
@_running
def in_context(datasets: tuple[str, ...], models: tuple[str, ...], **rest: Any) -> None:
    """Figures 4 and 6: how the rate falls within sequences of 2048 bytes of each DATASET, averaged over 100.

    \b
    Examples:
      compgen bench in-context enwik8 --model gzip --model cm
      compgen bench in-context imagenet --limit-chunks 20
    """
    from compgen.benchmark import in_context as module

    def work(run: Run, settings: dict[str, Any]) -> list[Row]:
        return module.in_context(datasets or module.DATASETS, models or module.MODELS, run=run, **settings)

    _run("in-context", work, rest, module.SEQUENCES)


@command.command("tokenizers", cls=options.Described, short_help="Table 2: bytes and tokens, by size of model.")
@click.argument("datasets", metavar="[DATASET]...", nargs=-1)
@_models
@click.option(
    "--vocabulary",
    "vocabularies",
    type=int,
    multiple=True,
    metavar="N",
    help="Train models of N tokens of byte pairs too, 257 or more; several times for more.",
)
@_training
@_data
@_running
def tokenizers(datasets: tuple[str, ...], models: tuple[str, ...], vocabularies: tuple[int, ...], **rest: Any) -> None:
    """Table 2: transformers over bytes and over tokens of byte pairs, by size of model, on each DATASET.

    \b
    Examples:
      compgen bench tokenizers enwik8 --train 200k --vocabulary 1000 --vocabulary 5000 --steps 2000
      compgen bench tokenizers notes.txt --model transformer:run/weights.safetensors
    """
    from compgen.benchmark import tokenizers as module

    def work(run: Run, settings: dict[str, Any]) -> list[Row]:
        sets = datasets or module.DATASETS
        if vocabularies and not rest["train"]:
            raise click.UsageError(
                "--vocabulary says what to train; name sizes of models with --train, as --train 200k"
            )
        trained = _train(rest, sets, settings, (256, *vocabularies))
        return module.tokenizers(sets, [*models, *trained] or None, run=run, **settings)

    _run("tokenizers", work, rest, module.CHUNKS)


@command.command("generation", cls=options.Described, short_help="Figures 3 and 5, and sound: continuations.")
@click.argument("datasets", metavar="[DATASET]...", nargs=-1)
@_models
@click.option("--excerpts", type=int, default=1, show_default=True, metavar="N", help="Chunks or images of each.")
@click.option("--first", type=int, metavar="N", help="Number of the first, from 0.  [default: 16]")
@click.option("--width", "image_width", type=int, metavar="N", help="Scale images to this width.  [default: 128]")
@click.option("--temperature", type=float, default=1.0, show_default=True, metavar="F", help="Below 1: surer.")
@click.option("--top-p", type=float, metavar="P", help="Choose among the likeliest bytes that hold mass P.")
@_data
@_running
def generation(
    datasets: tuple[str, ...], models: tuple[str, ...], temperature: float, top_p: float | None, **rest: Any
) -> None:
    """Figures 3 and 5, and sound: what models make of the beginnings of text, images and recordings, side by side.

    Of a chunk of text the last 100 of 2048 bytes are sampled, of a recording's the second half, of an image the right
    half of each row. Beside each sample stand the bits a byte that the true continuation costs.

    \b
    Examples:
      compgen bench generation enwik8 --model gzip --model cm --excerpts 3
      compgen bench generation imagenet librispeech --width 256
    """
    from compgen.benchmark import generation as module
    from compgen.interfaces import Decoding

    def work(run: Run, settings: dict[str, Any]) -> list[Row]:
        decoding = Decoding(temperature, top_p=top_p, seed=rest["seed"])
        chosen = {key: rest[key] for key in ("excerpts", "first", "image_width") if rest[key] is not None}
        return module.generation(
            datasets or module.DATASETS, models or None, decoding=decoding, run=run, **chosen, **settings
        )

    _run("generation", work, rest, None)


@command.command("all", cls=options.Described, short_help="All of these, and one report.")
@click.argument("datasets", metavar="[DATASET]...", nargs=-1)
@_models
@_training
@_charge
@_data
@_running
def everything(datasets: tuple[str, ...], models: tuple[str, ...], charge: str, **rest: Any) -> None:
    """All experiments on each DATASET, and one report: rates, scaling, in-context, tokenizers, generation.

    --limit-chunks bounds all of them. Models named are those of rates and in-context.

    \b
    Examples:
      compgen bench all
      compgen bench all enwik8 imagenet librispeech random --limit-chunks 64 --out small
    """
    from compgen.benchmark import everything as module
    from compgen.benchmark.rates import DATASETS

    def work(run: Run, settings: dict[str, Any]) -> dict[str, list[Row]]:
        sets = datasets or DATASETS
        sizes, limit = module.Sizes(), settings.pop("limit_chunks")
        settings.pop("limit_bytes")
        return module.everything(
            sets,
            models or None,
            sizes=sizes if limit is None else sizes.at_most(limit),
            trained=_train(rest, sets, settings),
            charge=charge,
            run=run,
            **settings,
        )

    if rest["limit_bytes"] is not None:
        raise click.UsageError("all has --limit-chunks only; bytes are for single experiments")
    _run("all", work, rest, None)


def _train(
    rest: dict[str, Any], datasets: Sequence[str], settings: dict[str, Any], vocabularies: Sequence[int] = (256,)
) -> list[str]:
    """The models that --train asks for."""
    from compgen import datasets as loader
    from compgen.benchmark.trained import Training, train

    if not rest["train"]:
        return []
    data = loader.load(rest["train_data"] or datasets[0], seed=settings["seed"])
    training = Training(data, rest["out"] / "models", steps=rest["steps"], seed=settings["seed"])
    with output.progress("training", quiet=rest["quiet"]) as progress:
        return train(training, rest["train"], vocabularies, progress)


def _run(name: str, work: Callable[[Run, dict[str, Any]], Any], rest: dict[str, Any], limit_chunks: int | None) -> None:
    """Run one experiment, or several that ``work`` gives by name; write and print what comes of it."""
    from compgen.benchmark import report
    from compgen.benchmark.tables import failures

    out = rest["out"]
    report.prepare(out)
    with _started(name, rest) as run:
        found = work(run, _settings(rest, limit_chunks))
        rows = found if isinstance(found, dict) else {name: found}
        report.write(out, rows, run.seconds)
    every = [row for some in rows.values() for row in some]
    if rest["as_json"]:
        output.show_json(every)
    elif not rest["quiet"]:
        _show(rows, out)
    if lines := failures(every):
        for line in lines:
            output.fail(line)
        raise click.exceptions.Exit(1)


def _settings(rest: dict[str, Any], limit_chunks: int | None) -> dict[str, Any]:
    names = ("limit_chunks", "limit_bytes", "chunk_bytes", "layout", "bits", "seed")
    settings = {key: rest[key] for key in names}
    settings["bits"] = int(settings["bits"])
    if settings["limit_chunks"] is None and settings["limit_bytes"] is None:
        settings["limit_chunks"] = limit_chunks
    return settings


@contextmanager
def _started(name: str, rest: dict[str, Any]) -> Iterator[Run]:
    """A run with its folders, jobs and progress bar."""
    from compgen.benchmark.engine import Run
    from compgen.benchmark.store import Store, default_folder

    own = rest["out"] / "results"
    if rest["no_cache"] and rest["cache"]:
        raise click.UsageError("give --cache or --no-cache, not both")
    store = Store([own] if rest["no_cache"] else [own, rest["cache"] or default_folder()])
    with options.working(rest["jobs"], rest["backend"]), output.progress(name, quiet=rest["quiet"]) as progress:
        # In percent of the work, as its units are guesses of seconds.
        tell = None if progress is None else (lambda done, total: progress(100 * done // max(total, 1), 100))
        yield Run(store, tell)
    if store.damaged:
        output.note(f"{store.damaged:,} stored results were damaged and have been computed again")


def _show(experiments: dict[str, list[Row]], out: Path) -> None:
    from compgen.benchmark.figures import available
    from compgen.benchmark.tables import tables

    for rows in experiments.values():
        for table in tables(rows):
            drawn = output.table(*table.columns, right=table.columns[table.left :])
            for row in table.rows:
                drawn.add_row(*map(output.printable, row))
            output.show(table.title, drawn, "")
    output.show(f"rows, tables and page: {out / 'report.html'}")
    if not available():
        output.note("the page has no figures: they need  pip install 'compgen[plots]'")
