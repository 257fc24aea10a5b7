"""``compgen sample``."""

from __future__ import annotations

import base64
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compgen.cli import options, output

if TYPE_CHECKING:
    from compgen.interfaces import Decoding, Predictor, Rendering

#: The types of file that a modality is written as; the option of its sampler that selects one, if it has a choice.
_SUFFIXES = {"image": (".png",), "audio": (".wav", ".flac")}


@click.command("sample", cls=options.Described)
@click.argument("file", required=False)
@options.models(multiple=False)
@options.modality
@click.option("--context", type=int, metavar="N", help="How much of FILE to continue from (text: its last N bytes).")
@click.option("--length", type=int, metavar="N", help="How much to generate (text: bytes; audio: samples).")
@click.option("--samples", type=int, default=1, show_default=True, metavar="N", help="How many continuations.")
@click.option(
    "--temperature", type=float, default=1.0, show_default=True, metavar="F", help="Below 1: surer; above: wilder."
)
@click.option("--top-k", type=int, metavar="K", help="Choose among the K likeliest bytes only.")
@click.option("--top-p", type=float, metavar="P", help="Choose among the likeliest bytes that hold mass P.")
@click.option("--greedy", is_flag=True, help="Always take the likeliest byte.")
@click.option(
    "--seed", type=int, default=0, show_default=True, metavar="N", help="The same seed gives the same output."
)
@click.option("--mode", metavar="MODE", help="image: rows (the paper's), above or raster.")
@click.option("--width", type=int, metavar="N", help="image: scale to this width first.")
@click.option("--bits", type=int, metavar="N", help="audio: 8 or 16 bits a sample.")
@click.option("--offset", type=int, metavar="N", help="Where in FILE the context starts.")
@options.workers
@click.option("--out", metavar="FILE", help="Write here; several samples get -1, -2, ... before the suffix.")
@click.option("--with-context", is_flag=True, help="text: write what was continued before the continuation.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the data.")
def command(
    file: str | None,
    compressor: str | None,
    predictor: str | None,
    modality: str | None,
    samples: int,
    jobs: int | None,
    backend: str | None,
    out: str | None,
    with_context: bool,
    as_json: bool,
    **rest: Any,
) -> None:
    """Let a compressor, or any predictor, continue FILE (- is standard input).

    With no FILE, a short text that ships with the package is continued. Of text, the continuation alone goes to
    standard output (or --out), byte for byte, with a newline between several; a terminal gets bytes that are not
    printable as \\xNN. Images and sounds are written whole and want --out, or a pipe.

    \b
    Examples:
      compgen sample --compressor gzip --length 200
      compgen sample notes.txt --compressor lzma2 --samples 3 --temperature 0.8
      cat notes.txt | compgen sample - --length 100 > more.txt
      compgen sample photo.jpg --compressor png --mode raster --out continued.png
      compgen sample speech.flac --compressor flac --bits 16 --out continued.wav
    """
    from compgen import Decoding, files, registry

    decoding = Decoding(**{name: rest.pop(name) for name in ("temperature", "top_k", "top_p", "greedy", "seed")})
    model = _model(compressor, predictor)
    source = _source(file)
    modality = modality or files.modality_of(source)
    path = _target(out, file, modality, samples, as_json)
    if path is not None and modality == "audio":
        rest["format"] = path.suffix[1:].lower()
    sampler = registry.sampler(modality, **rest)
    with options.working(jobs, backend), output.progress(f"sampling {model.spec}") as progress:
        renderings = sampler.sample(model, source, decoding=decoding, samples=samples, progress=progress)
    if modality not in _SUFFIXES and not with_context:
        renderings = [replace(rendering, data=rendering.sampled) for rendering in renderings]
    written = [] if path is None else _write(path, renderings)
    if as_json:
        output.show_json(_summary(model, modality, decoding, renderings, written))
    elif path is None:
        _print(renderings, modality)


def _model(compressor: str | None, predictor: str | None) -> Predictor:
    from compgen import registry

    if compressor is not None and predictor is not None:
        raise click.UsageError("give --compressor or --predictor, not both")
    return registry.predictor(predictor if predictor is not None else registry.compressor(compressor or "gzip"))


def _source(file: str | None) -> bytes:
    from compgen import datasets, files

    if file is not None:
        return files.read(file)
    output.note("no FILE: continuing the text that ships with compgen")
    return datasets.default_context()


def _target(out: str | None, file: str | None, modality: str, samples: int, as_json: bool) -> Path | None:
    """Where to write, None for standard output. What cannot work is said now, not when the samples are done."""
    from compgen import files

    suffixes = _SUFFIXES.get(modality, ())
    if out is None or out == "-":
        if suffixes and not as_json and sys.stdout.isatty():
            raise click.UsageError(
                f"a terminal cannot show this modality ({modality}); write it with --out FILE{suffixes[0]}"
            )
        if modality == "audio" and samples > 1 and not as_json:
            raise click.UsageError("several sounds do not fit into one stream; write them with --out FILE.wav")
        return None
    path = Path(out)
    if suffixes and path.suffix.lower() not in suffixes:
        raise click.UsageError(
            f"{modality} is written as {' or '.join(suffixes)}, not {path.suffix or 'without a suffix'!r}"
        )
    if file not in (None, "-") and path.exists() and path.samefile(str(file)):
        raise click.UsageError(f"--out {out} is the input itself; choose another name")
    files.check_writable(path)
    return path


def _write(path: Path, renderings: list[Rendering]) -> list[list[str]]:
    """Write each rendering with the files that belong beside it; returns the names, the rendering's own first."""
    from compgen import files

    written = []
    for number, rendering in enumerate(renderings, start=1):
        own = path if len(renderings) == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        contents = {own: rendering.data}
        contents |= {own.with_name(own.stem + suffix): data for suffix, data in rendering.extras.items()}
        for name, data in contents.items():
            files.write(name, data)
            output.note(f"wrote {name}")
        written.append([str(name) for name in contents])
    return written


def _print(renderings: list[Rendering], modality: str) -> None:
    if sys.stdout.isatty():
        for rendering in renderings:
            click.echo(output.readable(rendering.data))
    else:
        separator = b"" if modality in _SUFFIXES else b"\n"
        sys.stdout.buffer.write(separator.join(rendering.data for rendering in renderings))


def _summary(
    model: Predictor, modality: str, decoding: Decoding, renderings: list[Rendering], written: list[list[str]]
) -> dict[str, Any]:
    """The JSON document: what was asked for, and each sample as text and in base64."""
    samples = [
        {
            "sampled_bytes": len(rendering.sampled),
            "sampled_text": rendering.sampled.decode("utf-8", errors="replace"),
            "sampled_base64": base64.b64encode(rendering.sampled).decode(),
            "files": written[i] if written else [],
        }
        for i, rendering in enumerate(renderings)
    ]
    return {"predictor": model.spec, "modality": modality, **asdict(decoding), "samples": samples}
