"""The figures of a report, each for a light and for a dark page, as SVG. Needs matplotlib (the extra ``plots``)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compgen.benchmark import published
from compgen.benchmark.generation import sound_of
from compgen.benchmark.rows import Row
from compgen.benchmark.tables import set_name, short, size_name, unique

#: Wide enough for a page, and still readable when scaled to a phone's 360 pixels.
_WIDTH, _HEIGHT = 5.0, 3.7
_FONT_POINTS = 10.5


@dataclass(frozen=True)
class _Theme:
    ink: str
    muted: str
    grid: str
    cycle: tuple[str, ...]


# Told apart by people who see colours differently (after Okabe and Ito), and as bright as their page asks for.
_THEMES = {
    "light": _Theme(
        "#1c1f24",
        "#6b7280",
        "#e3e6ea",
        ("#0b66b3", "#c4510a", "#00825a", "#a8387f", "#8a6d00", "#3c3f46", "#4d9bd6", "#7b4bb5", "#b3272d", "#5b8c2a"),
    ),
    "dark": _Theme(
        "#e6e8eb",
        "#9aa3af",
        "#343a42",
        ("#5bb0f5", "#f59352", "#3ecf9b", "#ec86c4", "#e0c14a", "#c9ced6", "#9fd0f7", "#bd97f0", "#f27c81", "#a5d36d"),
    ),
}
_MARKERS = "osD^vPX<>p"


@dataclass(frozen=True)
class Figure:
    """A title, a sentence, and the same picture for a light and a dark page."""

    title: str
    caption: str
    light: bytes
    dark: bytes


def available() -> bool:
    """Is matplotlib there?"""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def figures(rows: Sequence[Row]) -> list[Figure]:
    """The figures of one experiment; of rows that failed there is nothing to draw."""
    makers: dict[str, Callable[[Sequence[Row]], Iterator[Figure]]] = {
        "rates": _rates,
        "scaling": _scaling,
        "in-context": _in_context,
        "tokenizers": _tokenizers,
        "generation": _generation,
    }
    good = [row for row in rows if row["status"] == "ok"]
    return list(makers[good[0]["experiment"]](good)) if good else []


def _drawn(
    title: str, caption: str, draw: Callable[[Any, _Theme], None], height: float = _HEIGHT, panels: int = 1
) -> Figure:
    """``draw(axes, theme)`` once for each page; ``axes`` is a list if there are several panels."""
    pages = {}
    for name, theme in _THEMES.items():
        from matplotlib import rc_context
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure as Canvas

        settings: Any = _settings(theme)
        with rc_context(settings):
            canvas = Canvas(figsize=(_WIDTH, height), layout="constrained")
            FigureCanvasSVG(canvas)
            axes = canvas.subplots(panels, 1, squeeze=False)[:, 0]
            draw(axes[0] if panels == 1 else list(axes), theme)
            buffer = io.BytesIO()
            canvas.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
            pages[name] = buffer.getvalue()
    return Figure(title, caption, pages["light"], pages["dark"])


def _settings(theme: _Theme) -> dict[str, Any]:
    from cycler import cycler

    inks = ("axes.labelcolor", "text.color", "legend.labelcolor")
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "compgen",
        "font.size": _FONT_POINTS,
        "font.family": ["sans-serif"],
        "axes.prop_cycle": cycler(color=theme.cycle),
        "axes.edgecolor": theme.muted,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "lines.linewidth": 1.8,
        "legend.frameon": False,
        "legend.fontsize": _FONT_POINTS - 1,
        **dict.fromkeys(inks, theme.ink),
    }


def _legend(axes: Any, columns: int = 2) -> None:
    """Below the picture, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=1.6)


# --- one generator an experiment -------------------------------------------------------------------------------------


def _rates(rows: Sequence[Row]) -> Iterator[Figure]:
    models = unique(row["model"] for row in rows)
    for dataset in unique(set_name(row) for row in rows):
        some = [row for row in rows if set_name(row) == dataset]

        def draw(axes: Any, theme: _Theme, some: Sequence[Row] = some, dataset: str = dataset) -> None:
            here = [model for model in models if any(row["model"] == model for row in some)]
            places = {model: -i for i, model in enumerate(here)}
            for whole, label in ((False, "in chunks"), (True, "whole")):
                points = [(row["rate_percent"], places[row["model"]]) for row in some if (row["chunks"] == 1) == whole]
                style = {"marker": "D", "mfc": "none", "ms": 6} if whole else {"marker": "o", "ms": 7}
                if points:
                    axes.plot(*zip(*points, strict=True), linestyle="", label=label, color=theme.cycle[0], **style)
            paper = [(published.table1(row["model"], dataset, row["chunk_bytes"]), row) for row in some]
            marks = [(rate, places[row["model"]]) for rate, row in paper if rate is not None and row["chunks"] != 1]
            if marks:
                axes.plot(
                    *zip(*marks, strict=True), "|", ms=13, mew=2, color=theme.cycle[1], label="the paper, in chunks"
                )
            axes.axvline(100, color=theme.muted, linewidth=1)
            axes.set_yticks(list(places.values()), [short(model) for model in places])
            axes.set_ylim(-len(here) + 0.4, 0.6)
            right = max(100, *(row["rate_percent"] for row in some), *(rate for rate, _ in marks))
            axes.set_xlim(0, min(1.05 * right, 260))
            axes.set_xlabel("compressed / raw size (%)")
            axes.grid(axis="y", visible=False)
            _legend(axes, 3)

        caption = "Lower is better; at 100 % nothing is gained."
        yield _drawn(dataset, caption, draw, height=1.5 + 0.3 * len({row["model"] for row in some}))


def _scaling(rows: Sequence[Row]) -> Iterator[Figure]:
    for dataset in unique(row["dataset"] for row in rows):
        some = [row for row in rows if row["dataset"] == dataset and row["parameters"]]
        if not some:
            continue

        def draw(axes: Any, theme: _Theme, some: Sequence[Row] = some, dataset: str = dataset) -> None:
            for i, size in enumerate(unique(row["set_bytes"] for row in some)):
                points = sorted(
                    (row["parameters"], row["adjusted_percent"]) for row in some if row["set_bytes"] == size
                )
                axes.plot(*zip(*points, strict=True), marker=_MARKERS[i % 10], label=size_name(size))
            if dataset.startswith(("enwik8", "enwik9")):
                paper = [(point["params"], point["enwik9_adjusted"]) for point in published.figure2()]
                axes.plot(*zip(*paper, strict=True), "--", color=theme.muted, label="the paper, 1 GB", zorder=1)
            axes.set_xscale("log")
            axes.set_yscale("log")
            _plain_ticks(axes.yaxis, (1.0, 2.0, 5.0))
            _plain_ticks(axes.xaxis, (1.0, 3.0))
            axes.set_xlabel("parameters")
            axes.set_ylabel("adjusted rate (%)")
            _legend(axes, 3)

        caption = "A line for each size of the data set. Its lowest point is the size of model that pays."
        yield _drawn(f"Adjusted rate by model size, {dataset}", caption, draw)


def _plain_ticks(axis: Any, steps: tuple[float, ...]) -> None:
    """Plain numbers on a logarithmic axis, not powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    def written(value: float, _place: int) -> str:
        return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"

    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(written))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _in_context(rows: Sequence[Row]) -> Iterator[Figure]:
    models = unique(row["model"] for row in rows)
    for dataset in unique(row["dataset"] for row in rows):
        some = [row for row in rows if row["dataset"] == dataset]

        def draw(axes: Any, theme: _Theme, some: Sequence[Row] = some) -> None:
            for i, model in enumerate(models):
                points = [(row["position_bytes"], row["rate_percent"]) for row in some if row["model"] == model]
                if points:
                    color = theme.cycle[i % len(theme.cycle)]
                    axes.plot(*zip(*points, strict=True), color=color, label=short(model))
            axes.set_xscale("log", base=2)
            ends = [row["position_bytes"] for row in some]
            ticks = [n for n in (1, 4, 16, 64, 256, 1024, 4096, 16384) if min(ends) <= n <= max(ends)]
            axes.set_xticks(ticks, [f"{n:,}" for n in ticks])
            axes.minorticks_off()
            # Short beginnings cost much more than all, which is not what the figure is about; where a line ends, is.
            last = max(row["rate_percent"] for row in some if row["position_bytes"] == max(ends))
            axes.set_ylim(0, min(max(140, 1.15 * last), 1.05 * max(row["rate_percent"] for row in some)))
            axes.set_xlabel("bytes of the sequence")
            axes.set_ylabel("rate so far (%)")
            _legend(axes)

        yield _drawn(f"In context, {dataset}", "The rate of the first n bytes; averaged over sequences.", draw)


def _tokenizers(rows: Sequence[Row]) -> Iterator[Figure]:
    for dataset in unique(row["dataset"] for row in rows):
        some = [row for row in rows if row["dataset"] == dataset]
        if len({row["vocabulary"] for row in some}) < 2:
            continue

        def draw(axes: Any, theme: _Theme, some: Sequence[Row] = some) -> None:
            for i, size in enumerate(unique(row["size"] for row in some)):
                points = sorted((row["vocabulary"], row["rate_percent"]) for row in some if row["size"] == size)
                axes.plot(*zip(*points, strict=True), marker=_MARKERS[i % 10], label=size)
            axes.set_xscale("log")
            ticks = sorted({row["vocabulary"] for row in some})
            axes.set_xticks(ticks, ["bytes" if n == 256 else f"{n:,}" for n in ticks])
            axes.minorticks_off()
            axes.set_xlabel("vocabulary")
            axes.set_ylabel("raw rate (%)")
            _legend(axes, 4)

        yield _drawn(f"Rate by vocabulary, {dataset}", "A line for each size of model.", draw)


def _generation(rows: Sequence[Row]) -> Iterator[Figure]:
    sounds = [row for row in rows if row["modality"] == "audio"]
    for dataset, excerpt in unique((row["dataset"], row["excerpt"]) for row in sounds):
        some = [row for row in sounds if (row["dataset"], row["excerpt"]) == (dataset, excerpt)]
        signals = [("the recording", sound_of(some[0], "truth_base64"))]
        signals += [(short(row["model"]), sound_of(row, "sampled_base64")) for row in some]
        given = len(signals[0][1]) // 2

        def draw(
            axes: Any, theme: _Theme, signals: Any = signals, given: int = given, rate: int = some[0]["samplerate"]
        ) -> None:
            for panel, (name, signal) in zip(axes, signals, strict=True):
                _spectrogram(panel, signal, rate)
                panel.axvline(1000 * given / rate, color="white", linewidth=1, linestyle=(0, (4, 3)))
                panel.set_title(name, loc="left", fontsize=_FONT_POINTS)
                panel.set_ylabel("kHz")
                panel.grid(visible=False)
                panel.label_outer()
            axes[-1].set_xlabel("time (ms); before the line is given")

        caption = "Power by frequency and time, from dark to light over 90 dB."
        height = 0.7 + 1.25 * len(signals)
        yield _drawn(f"Spectrograms, {dataset}, excerpt {excerpt + 1}", caption, draw, height, len(signals))


def _spectrogram(axes: Any, signal: np.typing.NDArray[np.int16], samplerate: int) -> None:
    """Power of Hann-windowed frames of 128 samples, in dB below a full-scale sine."""
    frame, hop = 128, 16
    padded = np.pad(signal / 32768.0, frame // 2, mode="edge")
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame)[::hop]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(frame), axis=-1)) / (frame / 4)
    power = 20 * np.log10(np.maximum(spectrum, 10.0**-4.5)).T
    extent = (0, 1000 * len(signal) / samplerate, 0, samplerate / 2000)
    axes.imshow(power, origin="lower", aspect="auto", cmap="magma", vmin=-90, vmax=0, extent=extent)
