"""One self-contained HTML page: tables, figures, texts, pictures and sounds, light or dark as the reader's."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import soundfile
from PIL import Image

from compgen.benchmark import figures
from compgen.benchmark.generation import picture_of, sound_of, text_of
from compgen.benchmark.rows import Row
from compgen.benchmark.tables import Table, failures, number, short, skipped, tables, unique
from compgen.datasets.images import Pixels
from compgen.version import __version__

#: Bytes of a text's context that are shown.
_SHOWN = 240
#: Sides of a picture on the page, in pixels, at least.
_LEAST_WIDTH = 256

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1f24; --muted: #5c6470; --paper: #ffffff; --line: #dfe3e8; --soft: #f4f6f8;
        --new: #b4460a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --muted: #a2abb6; --paper: #14171b; --line: #343a42; --soft: #1d2126; --new: #f59352; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 70rem; background: var(--paper); color: var(--ink);
       font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1.02rem; margin: 1.6rem 0 .2rem; }
p { margin: .2rem 0 .6rem; } .about, figcaption, .caption { color: var(--muted); font-size: .88rem; max-width: 46rem; }
nav { margin: .8rem 0; } nav a { margin-right: 1rem; } a { color: inherit; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; text-align: left; }
th { border-bottom: 2px solid var(--line); font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child { padding-left: 0; position: sticky; left: 0; background: var(--paper); }
.n { text-align: right; } .paper { color: var(--muted); } .failed { color: var(--new); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1rem 2rem; }
figure { margin: .8rem 0 0; min-width: 0; } figure img { max-width: 100%; height: auto; display: block; }
figure b { display: block; font-weight: 600; }
.media { display: flex; flex-wrap: wrap; gap: 1.2rem; } .media figure { max-width: 100%; }
.media img { image-rendering: pixelated; border-radius: 2px; }
audio { width: 15rem; max-width: 100%; display: block; }
pre { background: var(--soft); padding: .7rem .8rem; border-radius: 4px; margin: .3rem 0; white-space: pre-wrap;
      overflow-wrap: anywhere;
      font: .82rem/1.45 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre span { color: var(--muted); } pre b { color: var(--new); font-weight: 400; }
ul { padding-left: 1.2rem; } details { margin-top: 1rem; } summary { cursor: pointer; }
"""


def page(experiments: Mapping[str, Sequence[Row]], names: Mapping[str, str]) -> str:
    """The page of all experiments; ``names`` are their headings."""
    links = "".join(f'<a href="#{name}">{html.escape(names[name])}</a>' for name in experiments)
    parts = ["<h1>Compression benchmark</h1>", _about(experiments), f"<nav>{links}</nav>" if experiments else ""]
    for name, rows in experiments.items():
        parts.append(f'<section id="{name}"><h2>{html.escape(names[name])}</h2>')
        parts += _failed(rows)
        if name == "generation":
            parts += _samples(rows)
        parts += _figures(rows)
        parts += [_table(table) for table in tables(rows)]
        parts += _skipped(rows)
        parts.append("</section>")
    parts.append(_provenance(experiments))
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Compression benchmark</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _about(experiments: Mapping[str, Sequence[Row]]) -> str:
    text = (
        "The experiments of <i>Language Modeling Is Compression</i> "
        '(<a href="https://arxiv.org/abs/2309.10668">Delétang et al. 2024</a>), run with '
        f"compgen {html.escape(__version__)}. Numbers of the paper stand beside ours where it has them; its data are "
        "other samples of the same sources."
    )
    if not figures.available():
        text += " Figures are left out: they need <code>pip install 'compgen[plots]'</code>."
    return f'<p class="about">{text}</p>'


def _failed(rows: Sequence[Row]) -> Iterator[str]:
    if lines := failures(rows):
        items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
        yield f'<p class="failed">Failed, and in no average:</p><ul class="failed">{items}</ul>'


def _skipped(rows: Sequence[Row]) -> Iterator[str]:
    if lines := skipped(rows):
        items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
        yield f"<details><summary>Files that could not be used: {len(lines):,}</summary><ul>{items}</ul></details>"


def _table(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}{_class(table, i, cell)}>{html.escape(cell)}</{tag}>" for i, cell in enumerate(cells))

    body = "\n".join(f"<tr>{row(cells, 'td')}</tr>" for cells in table.rows)
    return (
        f'<h3>{html.escape(table.title)}</h3><p class="caption">{html.escape(table.caption)}</p>'
        f'<div class="scroll" tabindex="0"><table><thead><tr>{row(table.columns, "th")}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _class(table: Table, column: int, cell: str) -> str:
    classes = ["n"] if column >= table.left else []
    classes += ["paper"] if table.columns[column].startswith("paper") else []
    classes += ["failed"] if cell == "failed" else []
    return f' class="{" ".join(classes)}"' if classes else ""


def _figures(rows: Sequence[Row]) -> Iterator[str]:
    made = figures.figures(rows) if figures.available() else []
    if made:
        yield '<div class="figures">' + "".join(map(_figure, made)) + "</div>"


def _figure(figure: figures.Figure) -> str:
    """A picture for each colour scheme; a reader gets one. As images, so that names inside do not meet."""
    title = html.escape(figure.title)
    width = re.search(rb'width="([\d.]+)pt"', figure.light)
    pixels = round(float(width[1]) * 4 / 3) if width else 480
    return (
        f'<figure><b>{title}</b><picture><source media="(prefers-color-scheme: dark)" srcset="{_svg(figure.dark)}">'
        f'<img src="{_svg(figure.light)}" width="{pixels}" alt="{title}: {html.escape(figure.caption)}"></picture>'
        f"<figcaption>{html.escape(figure.caption)}</figcaption></figure>"
    )


def _svg(data: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(data).decode()


# --- generation ------------------------------------------------------------------------------------------------------


def _samples(rows: Sequence[Row]) -> Iterator[str]:
    """Each excerpt: what is true, and what each model made of its beginning."""
    good = [row for row in rows if row["status"] == "ok"]
    for dataset, excerpt in unique((row["dataset"], row["excerpt"]) for row in good):
        some = [row for row in good if (row["dataset"], row["excerpt"]) == (dataset, excerpt)]
        show = {"image": _pictures, "audio": _sounds}.get(some[0]["modality"], _texts)
        yield f"<h3>{html.escape(dataset)}, excerpt {excerpt + 1}</h3>"
        yield show(some)


def _label(row: Row) -> str:
    return f"<b>{html.escape(short(row['model']))}</b> {number(row['truth_bits_per_byte'], 2)} bits/byte"


def _texts(rows: Sequence[Row]) -> str:
    given = html.escape(_printable(text_of(rows[0], "context_base64")[-_SHOWN:]))
    parts = [
        f'<p class="caption">The end of what was given ({rows[0]["context_bytes"]:,} bytes), and in colour what follows'
        ": in truth, then sampled. Beside each model, what the true continuation costs under it.</p>"
    ]
    for label, row, key in [("<b>in truth</b>", rows[0], "truth_base64")] + [
        (_label(row), row, "sampled_base64") for row in rows
    ]:
        following = html.escape(_printable(text_of(row, key)))
        parts.append(f"<figcaption>{label}</figcaption><pre><span>{given}</span><b>{following}</b></pre>")
    return "\n".join(parts)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def _pictures(rows: Sequence[Row]) -> str:
    panels = [("<b>in truth</b>", picture_of(rows[0], "truth_base64"))]
    panels += [(_label(row), picture_of(row, "sampled_base64")) for row in rows]
    caption = "The left half of each row of pixels is given, the right half sampled."
    return (
        f'<p class="caption">{caption}</p><div class="media">'
        + "".join(_picture(*panel) for panel in panels)
        + "</div>"
    )


def _picture(label: str, pixels: Pixels) -> str:
    scale = max(1, -(-_LEAST_WIDTH // pixels.shape[1]))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    alt = html.escape(re.sub("<.*?>", "", label))
    return (
        f'<figure><img src="data:image/png;base64,{data}" width="{pixels.shape[1] * scale}" alt="{alt}">'
        f"<figcaption>{label}</figcaption></figure>"
    )


def _sounds(rows: Sequence[Row]) -> str:
    first = rows[0]
    signals = [("<b>in truth</b>", sound_of(first, "truth_base64"))]
    signals += [(_label(row), sound_of(row, "sampled_base64")) for row in rows]
    milliseconds = 1000 * len(signals[0][1]) / first["samplerate"]
    caption = f"{milliseconds:.0f} ms: the first half is given, the second sampled. Spectrograms are below."
    players = "".join(_player(label, signal, first["samplerate"]) for label, signal in signals)
    return f'<p class="caption">{caption}</p><div class="media">{players}</div>'


def _player(label: str, signal: np.typing.NDArray[np.int16], samplerate: int) -> str:
    file = io.BytesIO()
    soundfile.write(file, signal, samplerate, format="WAV", subtype="PCM_16")
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<figure><audio controls preload="none" src="data:audio/wav;base64,{data}"></audio>'
        f"<figcaption>{label}</figcaption></figure>"
    )


# --- where it is from ------------------------------------------------------------------------------------------------


def _provenance(experiments: Mapping[str, Sequence[Row]]) -> str:
    rows = [row for some in experiments.values() for row in some]
    sets = unique((row["dataset"], row["data_sha256"]) for row in rows if row.get("data_sha256"))
    models = unique(
        (row["spec"], row["library"], row["weights_sha256"], ", ".join(row.get("trained_on") or ()))
        for row in rows
        if row.get("spec")
    )
    data = "".join(f"<tr><td>{html.escape(name)}</td><td><code>{sha}</code></td></tr>" for name, sha in sets)
    used = "".join(
        f"<tr><td>{html.escape(short(spec))}</td><td>{html.escape(library)}</td><td><code>{sha[:16]}</code></td>"
        f"<td>{html.escape(learnt)}</td></tr>"
        for spec, library, sha, learnt in models
    )
    return (
        f"<details><summary>Data and models</summary>"
        f'<div class="scroll"><table><tr><th>data</th><th>SHA-256</th></tr>{data}</table></div>'
        '<div class="scroll"><table><tr><th>model as used</th><th>computed by</th><th>weights</th>'
        "<th>learnt from</th></tr>"
        f"{used}</table></div>"
        "</details>"
    )
