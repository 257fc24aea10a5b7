"""Scatter plots of correlations: a panel each, every model labelled where there is room."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compgen import files
from compgen.errors import MissingExtraError, UsageError
from compgen.evaluation.correlation import Correlation

_FORMATS = (".png", ".svg", ".pdf")
#: Where a label may stand about its point: distances in points, and directions, the best first.
_DISTANCES = (7.0, 13.0, 20.0, 28.0, 38.0, 50.0, 64.0)
_DIRECTIONS = tuple(math.radians(angle) for angle in (0, 180, 30, 330, 150, 210, 60, 300, 120, 240, 90, 270))
_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d9741c", "#666666"


def draw(correlations: Sequence[Correlation], path: Path) -> None:
    """Write the figure of some correlations to a .png, .svg or .pdf file.

    Raises :class:`~compgen.errors.MissingExtraError` without the extra ``plots``.
    """
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"a figure is written as {', '.join(_FORMATS)}, not {path.suffix or 'without a suffix'!r}")
    files.check_writable(path)
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing a figure", "plots") from None
    columns = math.ceil(math.sqrt(len(correlations)))
    rows = math.ceil(len(correlations) / columns)
    with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "compgen"}):
        figure = Figure(figsize=(7.2 * columns, 5.4 * rows), dpi=150, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, correlation in zip(grid, correlations, strict=False):
            _panel(axes, correlation)
        for axes in grid[len(correlations) :]:
            axes.set_axis_off()
        figure.draw_without_rendering()  # settles the layout, which labels are placed in
        figure.set_layout_engine("none")
        for axes, correlation in zip(grid, correlations, strict=False):
            _label(axes, correlation)
        buffer = io.BytesIO()
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
        figure.savefig(buffer, format=path.suffix[1:].lower(), metadata=metadata)
    files.write(path, buffer.getvalue())


def _panel(axes: Any, correlation: Correlation) -> None:
    xs, ys = np.array(correlation.xs), np.array(correlation.ys)
    axes.margins(0.12)
    ends = np.array([xs.min(), xs.max()])
    axes.plot(ends, correlation.intercept + correlation.slope * ends, color=_ORANGE, linewidth=1.2, zorder=1)
    axes.scatter(xs, ys, s=22, color=_BLUE, edgecolor="white", linewidth=0.6, zorder=3)
    axes.set_xlabel(_words(correlation.x))
    axes.set_ylabel(_words(correlation.y))
    axes.grid(color="#e8e8e8", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.set_title(_summary(correlation), loc="left", fontsize=9, color="#222222")


def _words(name: str) -> str:
    """A column's name for people: ``bpc_arxiv_math`` is ``bits per character, arxiv math``."""
    if "," in name:
        parts = name.split(",")
        rates = {part.partition("_")[0] for part in parts}
        if len(rates) == 1 and rates <= {"bpc", "bpb"}:
            return f"{_words(rates.pop())}, mean of {', '.join(_words(p.partition('_')[2]) for p in parts)}"
        return f"mean of {', '.join(map(_words, parts))}"
    rate, _, rest = name.partition("_")
    words = {"bpc": "bits per character", "bpb": "bits per byte"}
    if rate in words:
        return words[rate] + (f", {rest.replace('_', ' ')}" if rest else "")
    return name.replace("_", " ")


def _summary(correlation: Correlation) -> str:
    def shown(name: str, value: float, interval: tuple[float, float] | None) -> str:
        return f"{name} {value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")

    first = shown("Pearson", correlation.pearson, correlation.pearson_interval)
    second = shown("Spearman", correlation.spearman, correlation.spearman_interval)
    digits = 3 if correlation.rmse < 1 else 1
    third = f"RMSE {correlation.rmse:.{digits}f}, {len(correlation.models)} models"
    return f"{first}, {second}\n{third}".replace("-", "\u2212")


def _label(axes: Any, correlation: Correlation) -> None:
    """Write each model's name where it covers no other name and no point, with a line where it stands far off."""
    figure = axes.figure
    renderer = figure.canvas.get_renderer()
    scale = figure.dpi / 72
    points = axes.transData.transform(np.stack([correlation.xs, correlation.ys], axis=1))
    sizes = [_size(axes, name, renderer) for name in correlation.models]
    frame = axes.get_window_extent(renderer)
    inside = np.array([frame.x0, frame.y0, frame.x1, frame.y1])
    line = axes.transData.transform(
        [(x, correlation.intercept + correlation.slope * x) for x in np.linspace(*_ends(correlation), 60)]
    )
    placed: dict[int, Any] = {}
    leaders: dict[int, Any] = {}
    # Those with the most neighbours first, as they have the fewest places.
    near = [int((np.abs(points - point) < np.array([90, 45]) * scale).all(axis=1).sum()) for point in points]
    for i in sorted(range(len(points)), key=lambda i: -near[i]):
        boxes = [_box(points[i], sizes[i], d * scale, a) for d in _DISTANCES for a in _DIRECTIONS]
        others = list(placed.values())
        taken = np.concatenate([points, *leaders.values()])
        costs = [
            _cost(box, rank, others, taken, line, inside, scale) + _crossings(points[i], box, others, scale)
            for rank, box in enumerate(boxes)
        ]
        placed[i] = boxes[int(np.argmin(costs))]
        leaders[i] = _leader(points[i], placed[i], scale)
    for i, name in enumerate(correlation.models):
        _write(axes, name, points[i], placed[i], scale)


def _ends(correlation: Correlation) -> tuple[float, float]:
    return min(correlation.xs), max(correlation.xs)


def _size(axes: Any, name: str, renderer: Any) -> tuple[float, float]:
    text = axes.text(0, 0, name, fontsize=7)
    extent = text.get_window_extent(renderer)
    text.remove()
    return extent.width, extent.height


def _box(point: Any, size: tuple[float, float], distance: float, angle: float) -> Any:
    """A label's box, x0 y0 x1 y1 in pixels, whose nearest edge is so far from a point in a direction."""
    width, height = size
    x = point[0] + distance * math.cos(angle) + (math.cos(angle) - 1) / 2 * width
    y = point[1] + distance * math.sin(angle) + (math.sin(angle) - 1) / 2 * height
    return np.array([x, y, x + width, y + height])


def _cost(box: Any, rank: int, others: list[Any], points: Any, line: Any, inside: Any, scale: float) -> float:
    pad = 1.5 * scale
    outside = max(0.0, *(inside[:2] - box[:2]), *(box[2:] - inside[2:]))
    cost = 0.02 * rank + (100.0 + outside if outside > 0 else 0.0)
    for other in others:
        overlap = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]) + pad
        if (overlap > 0).all():
            cost += 50.0 + overlap.prod() / 100
    radius = 3.5 * scale
    covered = ((points > box[:2] - radius) & (points < box[2:] + radius)).all(axis=1).sum()
    crossed = ((line > box[:2]) & (line < box[2:])).all(axis=1).any()
    return float(cost + 20.0 * covered + 1.5 * crossed)


def _leader(point: Any, box: Any, scale: float) -> Any:
    """Points along the line from a label that stands far off to its point, ``(n, 2)``; none where it stands near."""
    nearest = np.clip(point, box[:2], box[2:])
    if np.hypot(*(nearest - point)) <= 9 * scale:
        return np.empty((0, 2))
    return nearest + np.linspace(0.0, 1.0, 12)[:, None] * (point - nearest)


def _crossings(point: Any, box: Any, others: list[Any], scale: float) -> float:
    """What it costs that the line from a label to its point goes through other labels."""
    line = _leader(point, box, scale)
    crossed = sum(bool(((line > other[:2]) & (line < other[2:])).all(axis=1).any()) for other in others)
    return 20.0 * crossed + (1.0 if len(line) else 0.0)


def _write(axes: Any, name: str, point: Any, box: Any, scale: float) -> None:
    to_data = axes.transData.inverted()
    x, y = to_data.transform(box[:2])
    axes.text(x, y, name, fontsize=7, color="#222222", zorder=4, va="bottom")
    leader = _leader(point, box, scale)
    if len(leader):
        axes.plot(*to_data.transform(leader).T, color=_GREY, linewidth=0.5, zorder=2)
