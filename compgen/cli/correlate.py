"""``compgen correlate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compgen.cli import options, output

if TYPE_CHECKING:
    from compgen.evaluation import Correlation


@click.command("correlate", cls=options.Described)
@click.argument("results", metavar="[TABLE]...", nargs=-1)
@click.option("--scores", metavar="TABLE", help="Benchmark scores, CSV with a column model.  [default: the TABLEs]")
@click.option("-x", "x", metavar="COLUMN", help="Of the TABLEs; a,b,c is the mean.  [default: bpc_average]")
@click.option("-y", "y", metavar="COLUMN", help="Of the scores; a,b,c is the mean.")
@click.option("--where", multiple=True, metavar="COLUMN=VALUE", help="Only the models of the scores with this value.")
@click.option("--without", multiple=True, metavar="MODEL", help="Leave this model out.")
@click.option("--rename", multiple=True, metavar="OLD=NEW", help="The name that the scores have for a model.")
@click.option("--percent", is_flag=True, help="Scores are in percent: divide by 100.")
@click.option("--confidence", type=float, default=0.95, show_default=True, metavar="P", help="Of the intervals.")
@click.option("--plot", type=Path, metavar="FILE", help="Draw a .png, .svg or .pdf (needs the extra plots).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
def command(
    results: tuple[str, ...],
    scores: str | None,
    x: str | None,
    y: str | None,
    confidence: float,
    plot: Path | None,
    as_json: bool,
    **choices: Any,
) -> None:
    """Correlate bits per character with scores.

    Prints Pearson's and Spearman's correlation with intervals, and the straight line through the benchmark scores. A
    TABLE is what evaluate --json wrote, or a CSV file with a column model; huang2024 and opencompass ship. With no
    TABLE and no --scores, the four correlations that Huang et al. 2024 published are computed again.

    \b
    Examples:
      compgen correlate
      compgen correlate --plot published.png
      compgen correlate huang2024 -x bpc_python -y coding --percent
      compgen correlate mine.json --scores scores.csv -x bpb_average -y accuracy --plot mine.svg
    """
    from compgen.evaluation import published

    if results or scores:
        found = [_correlated(results, scores, x, y, confidence, **choices)]
    elif x or y or any(choices.values()):
        raise click.UsageError("name a TABLE to choose from; huang2024 and opencompass ship")
    else:
        found = published(confidence)
    if plot is not None:
        from compgen.evaluation.scatter import draw

        draw(found, plot)
        output.note(f"wrote {plot}")
    if as_json:
        output.show_json([one.as_dict() for one in found])
    else:
        _show(found, confidence)


def _correlated(
    results: tuple[str, ...],
    scores: str | None,
    x: str | None,
    y: str | None,
    confidence: float,
    where: tuple[str, ...],
    without: tuple[str, ...],
    rename: tuple[str, ...],
    percent: bool,
) -> Correlation:
    from compgen.evaluation import correlation as tables

    if y is None:
        raise click.UsageError("name the column of the scores with -y COLUMN")
    x = x or "bpc_average"
    scored = [row for name in ([scores] if scores else results) for row in tables.read_table(name)]
    rows = [row for name in (results or ([scores] if scores else [])) for row in tables.read_table(name)]
    rows = tables.renamed([row for row in rows if row["model"] not in without], _pairs(rename, "--rename"))
    scored = [row for row in tables.where(scored, _pairs(where, "--where")) if row["model"] not in without]
    ys = {model: score / (100 if percent else 1) for model, score in tables.column(scored, y).items()}
    return tables.correlate(tables.column(rows, x), ys, x_name=x, y_name=y, confidence=confidence)


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise click.UsageError(f"{option} wants two names with = between them, not {text!r}")
    return {text.partition("=")[0]: text.partition("=")[2] for text in texts}


def _show(found: list[Correlation], confidence: float) -> None:
    percent = f"{100 * confidence:g} %"
    numbers = ("models", "Pearson", "Spearman", "slope", "RMSE")
    table = output.table("x", "y", "models", "Pearson", percent, "Spearman", percent, "slope", "RMSE", right=numbers)
    for one in found:
        table.add_row(
            *map(output.printable, (one.x.replace(",", ", "), one.y.replace(",", ", "))),
            str(len(one.models)),
            f"{one.pearson:.3f}",
            _interval(one.pearson_interval),
            f"{one.spearman:.3f}",
            _interval(one.spearman_interval),
            f"{one.slope:.3f}",
            f"{one.rmse:.3f}",
        )
    output.show(table)
    for one in found:
        if one.unmatched:
            names = ", ".join(one.unmatched)
            output.show("", output.printable(f"without scores and left out: {names}"))


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
