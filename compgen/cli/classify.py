"""``compgen classify``: train, predict, evaluate."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from compgen.cli import options, output

F = TypeVar("F", bound=Callable[..., Any])


class _Group(options.Described, click.Group):
    """A group whose examples show the program's own name."""


@click.group("classify", cls=_Group)
def command() -> None:
    """Classify texts by how well they compress.

    Texts come from .csv and .tsv files (columns text and label), .jsonl files (fields of these names), or folders that
    have a folder of files for each class; .xz, .gz and .zst are unpacked.

    \b
    Examples:
      compgen classify train reviews.csv --out reviews.model
      compgen classify predict reviews.model new.txt
      compgen classify evaluate reviews.csv test.csv --classifier knn --set k=3
    """


def _data(function: F) -> F:
    """``--text-field`` and ``--label-field``."""
    function = click.option("--label-field", metavar="NAME", help="Column or field of the label.  [default: label]")(
        function
    )
    return click.option("--text-field", metavar="NAME", help="Column or field of the text.  [default: text]")(function)


def _classifier(function: F) -> F:
    """``--classifier``, ``--compressor``, ``--predictor`` and ``--set``."""
    for decorate in (
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="A parameter, as k=3 or background=0.5. May be given several times.",
        ),
        options.predictor("Predictor of --classifier likelihood.  [default: order2 and order6]"),
        click.option("--compressor", metavar="SPEC", help="Compressor of knn (gzip) or dictionary (zstd)."),
        click.option(
            "--classifier",
            type=click.Choice(["likelihood", "knn", "dictionary"]),
            default="likelihood",
            show_default=True,
            help="A model a class, nearest neighbours, or class dictionaries.",
        ),
    ):
        function = decorate(function)
    return function


@command.command("train", cls=options.Described)
@click.argument("data")
@click.option("-o", "--out", type=Path, required=True, metavar="FILE", help="The model file to write.")
@_classifier
@_data
@options.workers
@click.option("-q", "--quiet", is_flag=True, help="No summary.")
def train(
    data: str,
    out: Path,
    classifier: str,
    text_field: str | None,
    label_field: str | None,
    jobs: int | None,
    backend: str | None,
    quiet: bool,
    **given: Any,
) -> None:
    """Train a classifier on DATA and write it to a model file.

    The model file holds the texts and the settings, and nothing that could run code when it is read.

    \b
    Examples:
      compgen classify train reviews.csv --out reviews.model
      compgen classify train folders/ --out it.model --classifier knn --compressor zstd --set k=3
    """
    _require_extra()
    from compgen import files
    from compgen.classify import models

    files.check_writable(out)
    made = _made(classifier, given, jobs)
    table = _read(data, text_field, label_field)
    labels = table.labelled()
    with _working(backend), _expected():
        made.fit(table.texts, labels)
    models.save(out, made, table.texts, labels)
    if not quiet:
        size = f"{len(labels):,} texts, {len(made.classes_):,} classes, {out.stat().st_size:,} bytes"
        chosen = ", ".join(f"{key}={value}" for key, value in models.chosen(made).items() if value is not None)
        output.show(f"{output.printable(str(out))}: {classifier}, {size}", output.printable(chosen))


@command.command("predict", cls=options.Described)
@click.argument("model", type=Path)
@click.argument("data", default="-")
@click.option(
    "--json", "as_json", is_flag=True, help="A JSON object a line: label and, where there are, probabilities."
)
@_data
@options.workers
def predict(
    model: Path,
    data: str,
    as_json: bool,
    text_field: str | None,
    label_field: str | None,
    jobs: int | None,
    backend: str | None,
) -> None:
    """Print the label of each text of DATA (- is standard input, a text a line), a line each, in order.

    \b
    Examples:
      compgen classify predict reviews.model new.csv
      echo 'what a lovely film' | compgen classify predict reviews.model --json
    """
    _require_extra()
    from compgen.classify import models

    table = _read(data, text_field, label_field)
    with _working(backend), _expected():
        classifier = models.load(model, jobs)
        if not as_json:
            for label in classifier.predict(table.texts):
                print(output.printable(str(label)))
            return
        shares = classifier.predict_proba(table.texts) if hasattr(classifier, "predict_proba") else None
        labels = classifier.predict(table.texts)
    for at, label in enumerate(labels):
        row: dict[str, Any] = {"label": str(label)}
        if shares is not None:
            names = map(str, classifier.classes_)
            row["probabilities"] = {name: float(share) for name, share in zip(names, shares[at], strict=True)}
        json.dump(row, sys.stdout)
        sys.stdout.write("\n")


@command.command("evaluate", cls=options.Described)
@click.argument("training", metavar="TRAIN")
@click.argument("test")
@_classifier
@click.option("--shots", type=int, metavar="N", help="Train on N texts a class instead, drawn anew for each seed.")
@click.option("--seeds", type=int, default=5, show_default=True, metavar="N", help="Draws for --shots.")
@_data
@options.workers
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def evaluate(
    training: str,
    test: str,
    classifier: str,
    shots: int | None,
    seeds: int,
    text_field: str | None,
    label_field: str | None,
    jobs: int | None,
    backend: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Train on TRAIN, test on TEST: accuracy with its 95 % interval, confusion, and texts that stand in both.

    \b
    Examples:
      compgen classify evaluate train.csv test.csv
      compgen classify evaluate train.csv test.csv --classifier knn --set k=1 --set bytes=true
      compgen classify evaluate train.csv test.csv --shots 5 --seeds 10 --json
    """
    _require_extra()
    import numpy as np

    from compgen.classify import evaluation

    sets = [_read(name, text_field, label_field) for name in (training, test)]
    (train_set, test_set) = ((table.texts, np.array(table.labelled(), dtype=str)) for table in sets)
    leaks = evaluation.leakage(train_set, test_set)
    with _working(backend), _expected():
        if shots is not None:
            few = evaluation.n_shot(lambda: _made(classifier, given, jobs), train_set, test_set, shots, seeds)
            _show_shots(few, as_json)
            return
        made = _made(classifier, given, jobs)
        result = evaluation.evaluate(made, train_set, test_set)
    _show_evaluation(result, leaks, len(train_set[0]), as_json)


def _show_shots(few: Any, as_json: bool) -> None:
    low, high = few.interval
    if as_json:
        output.show_json(
            {"shots": few.shots, "accuracies": few.accuracies, "mean": few.mean, "interval_95": [low, high]}
        )
        return
    table = output.table("shots", "accuracy", "95 % interval", "seeds", right=("shots", "accuracy", "seeds"))
    table.add_row(str(few.shots), f"{few.mean:.4f}", f"{low:.4f} to {high:.4f}", str(len(few.accuracies)))
    output.show(table)


def _show_evaluation(result: Any, leaks: list[Any], trained: int, as_json: bool) -> None:
    from compgen.classify.evaluation import wilson_interval

    low, high = wilson_interval(result.right, result.total)
    contradicted = sum(not leak.same_label for leak in leaks)
    if as_json:
        output.show_json(
            {
                "accuracy": result.accuracy,
                "interval_95": [low, high],
                "macro_f1": result.macro_f1,
                "train_texts": trained,
                "test_texts": result.total,
                "tie_fraction": result.tie_fraction,
                "train_seconds": result.train_seconds,
                "predict_seconds": result.predict_seconds,
                "classes": result.classes,
                "confusion": result.confusion.tolist(),
                "leakage": [{"test": leak.test, "train": leak.train, "same_label": leak.same_label} for leak in leaks],
            }
        )
        return
    summary = [
        f"accuracy {result.accuracy:.4f} ({result.right:,} of {result.total:,}; "
        f"95 % interval {low:.4f} to {high:.4f}), macro F1 {result.macro_f1:.4f}",
        f"trained on {trained:,} texts in {result.train_seconds:.1f} s, tested in {result.predict_seconds:.1f} s",
    ]
    if result.tie_fraction is not None:
        summary.append(f"{100 * result.tie_fraction:.1f} % of the nearest neighbours are tied")
    if leaks:
        summary.append(
            f"leakage: {len(leaks):,} test texts stand in the training data ({contradicted:,} with another label), "
            f"the first as text {leaks[0].test + 1:,}"
        )
    else:
        summary.append("leakage: no test text stands in the training data")
    output.show(*summary, "", _confusion_table(result))


def _confusion_table(result: Any) -> Any:
    """Rows are true classes, columns predicted ones, by number."""
    numbers = [str(n + 1) for n in range(len(result.classes))]
    table = output.table("", "true class", *numbers, "recall", right=("", *numbers, "recall"))
    for at, name in enumerate(result.classes):
        row = result.confusion[at]
        recall = f"{row[at] / row.sum():.3f}" if row.sum() else "-"
        table.add_row(numbers[at], output.printable(name), *(str(n) if n else "." for n in row), recall)
    return table


def _read(name: str, text_field: str | None, label_field: str | None) -> Any:
    from compgen.classify.tables import read_table

    return read_table(name, text_field, label_field)


def _made(kind: str, given: dict[str, Any], jobs: int | None) -> Any:
    """The classifier that the options name."""
    from compgen.classify.models import CLASSIFIERS
    from compgen.errors import UsageError

    made = CLASSIFIERS[kind]
    known = inspect.signature(made).parameters
    parameters: dict[str, Any] = {"n_jobs": jobs}
    for name in ("compressor", "predictor"):
        if given[name] is not None:
            if name not in known:
                other = "predictor" if kind == "likelihood" else "compressor"
                raise UsageError(f"--classifier {kind} has no {name}; it takes --{other}")
            parameters[name] = given[name]
    for setting in given["settings"]:
        key, equals, value = setting.partition("=")
        if not equals or key not in known or key in ("n_jobs", "compressor", "predictor"):
            names = ", ".join(name for name in known if name not in ("n_jobs", "compressor", "predictor"))
            raise UsageError(f"--set {setting!r} means nothing for {kind}; it has: {names}")
        parameters[key] = _value(value)
    return made(**parameters)


def _value(text: str) -> Any:
    """A number, a truth value, none, or the text itself."""
    words = {"true": True, "yes": True, "false": False, "no": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


@contextmanager
def _working(backend: str | None) -> Iterator[None]:
    """joblib's workers of ``--backend``; threads where none is named."""
    if backend is None:
        yield
        return
    import joblib

    from compgen import parallel

    with parallel.jobs(1, backend), joblib.parallel_config(backend.partition(":")[0]):
        yield


@contextmanager
def _expected() -> Iterator[None]:
    """What scikit-learn's conventions say of bad data and parameters, as errors of the command line; warnings too."""
    import warnings

    from compgen.errors import BadInputError

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield
        except (ValueError, TypeError) as error:
            raise BadInputError(str(error)) from None
    for message in dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, UserWarning)):
        print(f"compgen: warning: {output.printable(message)}", file=sys.stderr)


def _require_extra() -> None:
    import compgen.classify  # noqa: F401  says so if scikit-learn is missing
