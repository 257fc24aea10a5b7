"""``compgen list``."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import EntryPoint
from typing import Any

import click

from compgen.cli import options, output

_GROUPS = {"compressors": "compgen.compressors", "predictors": "compgen.predictors", "samplers": "compgen.samplers"}


@click.command("list", cls=options.Described)
@click.argument("kind", required=False, type=click.Choice(list(_GROUPS)))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def command(kind: str | None, as_json: bool) -> None:
    """List compressors, predictors and samplers with their parameters, those of plug-ins among them.

    A parameter is given as in gzip:level=6; what is shown is its default, if it has one. What is written name(...) is
    made of other specs, as in name(gzip,order2).

    \b
    Examples:
      compgen list
      compgen list compressors --json
    """
    from compgen import registry

    kinds = [kind] if kind else list(_GROUPS)
    rows = {k: [_describe(entry) for entry in registry.entries(_GROUPS[k]).values()] for k in kinds}
    if as_json:
        output.show_json(rows)
    else:
        output.show(*(part for k in kinds for part in (_table(k, rows[k]), "")))


def _describe(entry: EntryPoint) -> dict[str, Any]:
    """What can be known of an entry without running it; ``problem`` says why one cannot be loaded."""
    from compgen.errors import CompgenError

    row: dict[str, Any] = {
        "name": entry.name,
        "distribution": entry.dist.name if entry.dist else None,
        "takes_specs": False,
        "parameters": {},
        "description": "",
        "problem": None,
    }
    try:
        made = entry.load()
        row["description"] = _plain_text((inspect.getdoc(made) or "").split("\n")[0])
        parameters = dict(inspect.signature(made).parameters)
        row["takes_specs"] = parameters.pop("parts", None) is not None  # see compgen.registry.build
        row["parameters"] = {name: _plain(p.default) for name, p in parameters.items()}
        if entry.group == _GROUPS["compressors"]:
            made()  # a codec whose package is missing says so when it is made
    except CompgenError as error:
        row["problem"] = str(error)
    except Exception as error:  # a broken plug-in must not hide the others
        row["problem"] = f"cannot be loaded: {type(error).__name__}: {error}"
    return row


def _plain_text(text: str) -> str:
    """A line of a docstring without its markup: ``x`` and :meth:`x` are x."""
    return re.sub(r"(?::\w+:)?`+~?([^`]*)`+", r"\1", text)


def _plain(default: Any) -> Any:
    """A parameter's default as JSON can hold it; a parameter without one is shown as required."""
    if default is inspect.Parameter.empty:
        return "(required)"
    return default if isinstance(default, (bool, int, float, str, type(None))) else str(default)


def _table(kind: str, rows: list[dict[str, Any]]) -> Any:
    from rich.text import Text

    table = output.table(kind, "parameters", "")
    for row in rows:
        about = Text(re.split(r"[.:;](?: |$)| \((?:\w+:|default)", row["description"])[0])
        if row["distribution"] != "compgen":
            about.append(f"  (from {row['distribution']})", style="cyan")
        if row["problem"]:
            about.append(f"  {row['problem']}", style="yellow")
        parameters = " ".join(name if value is None else f"{name}={value}" for name, value in row["parameters"].items())
        name = row["name"] + "(...)" * row["takes_specs"]
        table.add_row(Text(name, style="bold"), parameters, about)
    return table
