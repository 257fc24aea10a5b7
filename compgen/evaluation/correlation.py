"""How well bits per character tell benchmark scores: tables joined by model, correlations, and a straight line.

Two published tables ship: ``huang2024`` (Huang et al. 2024, *Compression represents intelligence linearly*, tables 4, 6
and 8) and ``opencompass`` (the table in the README of OpenCompass's module). :func:`published` repeats the correlations
of the first.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from compgen.errors import BadInputError, UsageError
from compgen.files import reason

#: The tables that ship, by name.
SHIPPED = {"huang2024": "huang2024_models.csv", "opencompass": "opencompass_bpc.csv"}
#: What Huang et al. correlate: bits per character, scores, and the rows that they take.
_PUBLISHED: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("bpc_commoncrawl", "knowledge", {}),
    ("bpc_python", "coding", {}),
    ("bpc_arxiv_math", "math", {"qwen": "0"}),
    ("bpc_commoncrawl,bpc_python,bpc_arxiv_math", "knowledge,coding,math", {"group": "general"}),
)
_KEY = "model"

Row = dict[str, str | float]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Correlation:
    """Of ``ys`` with ``xs``, one of each a model. ``rmse`` is of the straight line ``intercept + slope * x``, with the
    number of models as denominator, in the unit of ``ys``.

    The intervals are those of Fisher's z, for Spearman's with the variance of Bonett and Wright (2000); None for fewer
    than four models.
    """

    x: str
    y: str
    models: tuple[str, ...]
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    pearson: float
    pearson_interval: Interval | None
    spearman: float
    spearman_interval: Interval | None
    slope: float
    intercept: float
    rmse: float
    confidence: float = 0.95
    unmatched: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"n": len(self.models)}


def correlate(
    x: Mapping[str, float],
    y: Mapping[str, float],
    *,
    x_name: str = "x",
    y_name: str = "y",
    confidence: float = 0.95,
) -> Correlation:
    """The correlation of two numbers of the models that have both.

    Names are the same, or the same after what :func:`short_name` leaves out. Raises
    :class:`~compgen.errors.BadInputError` for fewer than three models and for numbers that are all alike.

    >>> found = correlate({"a": 0.5, "b": 0.6, "c": 0.7}, {"a": 60, "b": 52, "c": 40})
    >>> round(found.pearson, 3), found.spearman, len(found.models)
    (-0.993, -1.0, 3)
    """
    from scipy import stats

    if not 0 < confidence < 1:
        raise UsageError(f"confidence must be between 0 and 1, not {confidence}")
    pairs, unmatched = _joined(x, y)
    if len(pairs) < 3:
        raise BadInputError(
            f"{len(pairs)} models have both {x_name} and {y_name}, and a correlation wants three"
            + (f"; without a partner: {', '.join(unmatched[:6])}" if unmatched else "")
        )
    xs, ys = (np.array([pair[i] for pair in pairs], np.float64) for i in (1, 2))
    for name, values in ((x_name, xs), (y_name, ys)):
        if np.ptp(values) == 0:
            raise BadInputError(f"all models have the same {name}, so nothing correlates with it")
    slope, intercept = np.polyfit(xs, ys, 1)
    pearson, spearman = float(np.corrcoef(xs, ys)[0, 1]), float(stats.spearmanr(xs, ys).statistic)
    return Correlation(
        x=x_name,
        y=y_name,
        models=tuple(pair[0] for pair in pairs),
        xs=tuple(xs.tolist()),
        ys=tuple(ys.tolist()),
        pearson=pearson,
        pearson_interval=_interval(pearson, len(pairs), 1.0, confidence),
        spearman=spearman,
        spearman_interval=_interval(spearman, len(pairs), 1.0 + spearman**2 / 2.0, confidence),
        slope=float(slope),
        intercept=float(intercept),
        rmse=float(np.sqrt(np.mean((ys - intercept - slope * xs) ** 2))),
        confidence=confidence,
        unmatched=tuple(unmatched),
    )


def _interval(r: float, count: int, variance: float, confidence: float) -> Interval | None:
    from scipy import stats

    if count < 4:
        return None
    if abs(r) >= 1:
        return r, r
    half = float(stats.norm.ppf((1 + confidence) / 2)) * math.sqrt(variance / (count - 3))
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)


def published(confidence: float = 0.95) -> list[Correlation]:
    """The four correlations of Huang et al. 2024, from the table that ships; scores are parts of 1.

    Knowledge with CommonCrawl over the general models, coding with Python over these and the code models, mathematics
    with arXiv over these and the mathematical models but without the three Qwen models, and the averages of all three
    over the general models.
    """
    rows = read_table("huang2024")
    return [
        correlate(
            column(chosen, x),
            {model: score / 100 for model, score in column(chosen, y).items()},
            x_name=x,
            y_name=y,
            confidence=confidence,
        )
        for x, y, conditions in _PUBLISHED
        for chosen in [where(rows, conditions)]
    ]


def read_table(name: str | Path) -> list[Row]:
    """The rows of a table: one that ships, a CSV file with a column ``model``, or the JSON of ``compgen evaluate``.

    Lines that begin with ``#`` are comments. An evaluation becomes a row with ``bpb``, ``bpc`` (of all),
    ``bpb_average``, ``bpc_average`` (over domains), and ``bpb_DOMAIN``, ``bpc_DOMAIN``; the model of a codec's size is
    ``CODEC (size)``.
    """
    if str(name) in SHIPPED and not Path(name).exists():
        text = files("compgen.evaluation").joinpath("tables", SHIPPED[str(name)]).read_text("utf-8")
        return _csv_rows(text, str(name))
    try:
        text = Path(name).read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        known = ", ".join(SHIPPED)
        raise BadInputError(f"cannot read {name}: {reason(error)}; tables that ship: {known}") from None
    return _evaluations(text, str(name)) if text.lstrip()[:1] in ("{", "[") else _csv_rows(text, str(name))


def _csv_rows(text: str, name: str) -> list[Row]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    reader = csv.DictReader(lines)
    if _KEY not in (reader.fieldnames or []):
        raise BadInputError(f"{name}: no column {_KEY!r}; the first line names the columns of a table")
    rows: list[Row] = []
    for number, row in enumerate(reader, start=1):
        if None in row or None in row.values():
            raise BadInputError(f"{name}: row {number} has not as many fields as the first line")
        rows.append(dict(row))
    if not rows:
        raise BadInputError(f"{name}: there are no rows")
    return rows


def _evaluations(text: str, name: str) -> list[Row]:
    try:
        read = json.loads(text)
        found = [_evaluation(one) for one in (read if isinstance(read, list) else [read])]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInputError(f"{name}: not what compgen evaluate --json writes") from None
    if not found:
        raise BadInputError(f"{name}: there are no evaluations in it")
    return found


def _evaluation(one: dict[str, Any]) -> Row:
    parts = {"": one["total"], "_average": one["average"], **{f"_{row['domain']}": row for row in one["rows"]}}
    row: Row = {_KEY: one["model"] + (" (size)" if one["kind"] == "size" else "")}
    for suffix, numbers in parts.items():
        row |= {rate + suffix: numbers[rate] for rate in ("bpb", "bpc") if numbers[rate] is not None}
    return row


def where(rows: Sequence[Row], conditions: Mapping[str, str]) -> list[Row]:
    """The rows whose columns have the values given."""
    for name in conditions:
        _require_column(rows, name)
    return [row for row in rows if all(str(row.get(name)) == value for name, value in conditions.items())]


def column(rows: Sequence[Row], names: str) -> dict[str, float]:
    """A column by model, or the mean of several, ``a,b,c``; without the models that have not all of them.

    Raises :class:`~compgen.errors.BadInputError` for what is not a number and for a model that comes twice.
    """
    wanted, found = names.split(","), dict[str, float]()
    for name in wanted:
        _require_column(rows, name)
    for row in rows:
        values, model = [row.get(name, "") for name in wanted], str(row[_KEY])
        if any(value == "" for value in values):
            continue
        if model in found:
            raise BadInputError(f"the model {model!r} comes twice; leave one out, or give them other names")
        found[model] = math.fsum(_number(value, model) for value in values) / len(wanted)
    return found


def _number(value: str | float, model: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadInputError(f"{model}: {value!r} is not a number")
    return number


def _require_column(rows: Sequence[Row], name: str) -> None:
    known = list(dict.fromkeys(key for row in rows for key in row))
    if name not in known:
        raise BadInputError(f"no column {name!r}; there are {', '.join(key for key in known if key != _KEY)}")


def short_name(model: str) -> str:
    """A model's name without what does not matter: ``hf:models/Llama-2-7b-hf,dtype=bfloat16`` is ``llama-2-7b``."""
    plain = model.removeprefix("hf:").split(",")[0].rstrip("/").split("/")[-1].lower()
    return plain.removesuffix("-hf")


def _joined(x: Mapping[str, float], y: Mapping[str, float]) -> tuple[list[tuple[str, float, float]], list[str]]:
    """(model, x, y) of the models that have both, and the names of those of ``x`` that have no ``y``."""
    by_short: dict[str, list[str]] = {}
    for name in y:
        by_short.setdefault(short_name(name), []).append(name)
    pairs, unmatched = [], []
    for name, value in x.items():
        partners = [name] if name in y else by_short.get(short_name(name), [])
        if len(partners) > 1:
            raise BadInputError(f"{name} may be {' or '.join(partners)}; give them the same name")
        if partners:
            pairs.append((partners[0], value, y[partners[0]]))
        else:
            unmatched.append(name)
    twice = {name for name, _, _ in pairs if sum(name == other for other, _, _ in pairs) > 1}
    if twice:
        raise BadInputError(f"several models have the name {min(twice)}; leave out all but one")
    return pairs, unmatched


def renamed(rows: Iterable[Row], names: Mapping[str, str]) -> list[Row]:
    """Rows with other names for some models."""
    return [{**row, _KEY: names.get(str(row[_KEY]), row[_KEY])} for row in rows]
