"""Names of data sets -> data sets.

A data set is named like everything else in compgen, ``name:key=value,...``, or by the path of a file or folder::

    enwik8    imagenet:path=tiles/    librispeech:bits=16    random:seed=1,bytes=100000    photos/    file:enwik8
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from compgen.datasets.dataset import CHUNK_BYTES, PAPER_CHUNKS, TILE_WIDTH, Dataset
from compgen.datasets.reading import files_below, open_file
from compgen.datasets.wikipedia import KNOWN, find
from compgen.errors import BadInputError, UsageError
from compgen.files import MAGIC_BYTES, modality_of

if TYPE_CHECKING:
    from compgen.interfaces import Progress

Layout = Literal["compgen", "paper"]
#: Under ``layout=paper`` codecs for images lay out all data so wide, tiles of 64 pixels a row too, as the public code
#: gives (rows, columns) to PNG where (columns, rows) are taken.
_PAPER_WIDTH = 32
#: Files of a folder that are looked at to tell its modality.
_JUDGED_FILES = 1000


@dataclass(frozen=True)
class Settings:
    """How data sets are made, unless their specs say otherwise."""

    chunk_bytes: int
    layout: str
    bits: int
    seed: int
    data_folder: Path | None
    progress: Progress | None


#: A data set of the options in its spec, and of what they leave open.
Maker: TypeAlias = "Callable[[dict[str, str], Settings], Dataset]"


def load(
    spec: str | os.PathLike[str],
    *,
    chunk_bytes: int = CHUNK_BYTES,
    limit_bytes: int | None = None,
    limit_chunks: int | None = None,
    layout: Layout = "compgen",
    bits: int = 8,
    seed: int = 0,
    data_folder: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The data set that a spec or a path names.

    enwik8 and enwik9 are checked, or fetched if need be. Of other sets no more is read yet than tells what they are.

    :param spec: ``enwik8``, ``enwik9``, ``imagenet``, ``librispeech``, ``random``, each with ``:key=value,...`` if
        wanted, or ``file:PATH``, or just the path of a file or folder.
    :param chunk_bytes: bytes a chunk; of images a multiple of 64.
    :param limit_bytes: serve the first so many bytes; of images and audio whole chunks of them.
    :param limit_chunks: serve the first so many chunks.
    :param layout: ``compgen``, or ``paper`` for the habits of the public code of Deletang et al.
    :param bits: of audio samples, 8 or 16.
    :param seed: of random data.
    :param data_folder: where sets are looked for before they are downloaded; default: the environment's COMPGEN_DATA.
    :param progress: is told the bytes that have come, and the bytes in all, where a set is downloaded.

    Raises :class:`~compgen.errors.UsageError` for unknown names and parameters, and
    :class:`~compgen.errors.BadInputError` for what cannot be found, with the remedy.
    """
    for what, value in (("chunk_bytes", chunk_bytes), ("limit_bytes", limit_bytes), ("limit_chunks", limit_chunks)):
        if value is not None and value < 1:
            raise UsageError(f"{what} must be at least 1, not {value}")
    spec = os.fspath(spec)
    folder = data_folder or os.environ.get("COMPGEN_DATA")
    settings = Settings(chunk_bytes, layout, bits, seed, Path(folder) if folder else None, progress)
    name, options = _parsed(spec)
    limits = [limit for limit in (limit_bytes, limit_chunks and limit_chunks * chunk_bytes) if limit]
    settings = _overridden(settings, name, options)
    made = _MAKERS[name][1](options, settings)
    return _finished(made, spec, settings, min(limits, default=None))


def is_named(spec: str) -> bool:
    """Does a spec name a data set, and not just a file or folder?"""
    return spec.partition(":")[0] in _MAKERS


def _parsed(spec: str) -> tuple[str, dict[str, str]]:
    """A name of :data:`_MAKERS` and its options."""
    name, _, rest = spec.partition(":")
    if name not in _MAKERS:
        if not Path(spec).exists():
            raise UsageError(_unknown(spec))
        return "file", {"path": spec}
    options: dict[str, str] = {}
    known, _ = _MAKERS[name]
    for argument in rest.split(",") if rest else ():
        key, equals, value = argument.partition("=")
        if not equals and not options and "path" in known:
            options["path"] = argument
        elif key in known:
            if key in options:
                raise UsageError(f"parameter {key!r} is given twice in {spec!r}")
            options[key] = value
        elif options:  # what follows a comma in a path
            options[list(options)[-1]] += f",{argument}"
        else:
            raise UsageError(f"{name} has no parameter {key!r}; it has: {', '.join(known)}")
    return name, options


def _unknown(spec: str) -> str:
    near = difflib.get_close_matches(spec.partition(":")[0], _MAKERS, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else "known: " + ", ".join(_MAKERS) + ", and paths"
    return f"{spec!r} is neither a data set nor a file or folder; {hint}"


def _overridden(settings: Settings, name: str, options: dict[str, str]) -> Settings:
    """The settings, but what the spec says of them, which is taken out of ``options``."""
    settings = replace(
        settings,
        layout=options.pop("layout", settings.layout),
        bits=_number(name, "bits", options.pop("bits", settings.bits)),
        seed=_number(name, "seed", options.pop("seed", settings.seed)),
    )
    if settings.layout not in get_args(Layout):
        raise UsageError(f"layout must be one of {', '.join(get_args(Layout))}, not {settings.layout}")
    if settings.bits not in (8, 16):
        raise UsageError(f"bits must be 8 or 16, not {settings.bits}")
    return settings


def _finished(dataset: Dataset, spec: str, settings: Settings, limit_bytes: int | None) -> Dataset:
    """The data set with what holds for all of them. The name of a beginning of Wikipedia says how many bytes it is."""
    limits = [limit for limit in (limit_bytes, dataset.limit_bytes) if limit is not None]
    limit, name, geometry = min(limits, default=None), dataset.name, dataset.geometry
    if name in KNOWN and limit is not None and limit < KNOWN[name].size_bytes:
        name = f"{name}[:{limit}]"
    if settings.layout == "paper":
        name, geometry = f"{name}:layout=paper", {**geometry, "width": _PAPER_WIDTH}
    return replace(
        dataset, name=name, spec=spec, geometry=geometry, chunk_bytes=settings.chunk_bytes, limit_bytes=limit
    )


def _number(name: str, key: str, value: str | int) -> int:
    try:
        return int(value)
    except ValueError:
        raise UsageError(f"{name}: {key}={value} is not a whole number") from None


# --- one function a name ---------------------------------------------------------------------------------------------


def _wikipedia(name: str) -> Maker:
    def make(options: dict[str, str], settings: Settings) -> Dataset:
        from compgen.datasets.texts import Texts

        path = Path(options["path"]).expanduser() if "path" in options else None
        found = find(name, path=path, data_folder=settings.data_folder, progress=settings.progress)
        size_bytes = min(found.size_bytes, KNOWN[name].size_bytes)
        whole = f"all {size_bytes:,}" if size_bytes == KNOWN[name].size_bytes else f"only the first {size_bytes:,}"
        description = f"{whole} bytes of {name}, Wikipedia of 2006 as XML, from {found.path}"
        return Dataset(name, "text", "", description, Texts((found.path,)), limit_bytes=size_bytes)

    return make


def _random(options: dict[str, str], settings: Settings) -> Dataset:
    from compgen.datasets.noise import Noise

    size_bytes = _number("random", "bytes", options.get("bytes", PAPER_CHUNKS * CHUNK_BYTES))
    if size_bytes < 1:
        raise UsageError(f"random: bytes must be at least 1, not {size_bytes}")
    if not 0 <= settings.seed < 2**64:
        raise UsageError(f"seed must be from 0 to 2**64 - 1, not {settings.seed}")
    name = "random" if settings.seed == 0 else f"random:seed={settings.seed}"
    return Dataset(name, "random", "", f"{size_bytes:,} random bytes", Noise(settings.seed, size_bytes))


def _file(options: dict[str, str], settings: Settings) -> Dataset:
    if "path" not in options:
        raise UsageError("name a file or folder: file:PATH")
    path = Path(options["path"]).expanduser()
    if not path.exists():
        raise BadInputError(f"{path}: no such file or folder")
    modality = options.get("modality") or _modality(path)
    text_only = "modality" not in options and path.is_dir()
    if modality not in ("text", "image", "audio"):
        raise UsageError(f"file: modality must be one of text, image, audio, not {modality}")
    name = path.name or str(path)
    if modality == "image":
        return _images(name, path, settings)
    if modality == "audio":
        return _recordings(name, path, settings, None)
    from compgen.datasets.texts import Texts

    return Dataset(name, "text", "", f"the bytes of {path}", Texts((path,), text_only))


def _images(name: str, path: Path, settings: Settings) -> Dataset:
    from compgen.datasets.images import Images

    if settings.chunk_bytes % TILE_WIDTH:
        raise UsageError(f"chunk_bytes of images must be a multiple of {TILE_WIDTH}, not {settings.chunk_bytes}")
    description = f"tiles of {settings.chunk_bytes // TILE_WIDTH} rows of {TILE_WIDTH} gray pixels from {path}"
    source = Images((path,), upright=settings.layout != "paper")
    return Dataset(name, "image", "", description, source, geometry={"width": TILE_WIDTH})


def _recordings(name: str, path: Path, settings: Settings, samplerate: int | None) -> Dataset:
    from compgen.datasets.recordings import Recordings, samplerate_of

    if settings.layout == "paper" and settings.bits != 8:
        raise UsageError("layout=paper has samples of 8 bits; leave bits out, or the layout")
    if settings.chunk_bytes * 8 % settings.bits:
        raise UsageError(f"chunk_bytes of samples of 16 bits must be even, not {settings.chunk_bytes}")
    samplerate = samplerate or samplerate_of(path)
    return Dataset(
        name if settings.bits == 8 else f"{name}:bits={settings.bits}",
        "audio",
        "",
        f"samples of {settings.bits} bits at {samplerate:,} Hz from {path}",
        Recordings((path,), settings.bits, samplerate),
        geometry={"bits": settings.bits, "samplerate": samplerate, "byteorder": "little"},
    )


def _imagenet(options: dict[str, str], settings: Settings) -> Dataset:
    names = ("imagenet", "ILSVRC2012_img_val.tar", "ILSVRC2012_img_train.tar")
    return _images("imagenet", _found("imagenet", options, settings, names, "image"), settings)


def _librispeech(options: dict[str, str], settings: Settings) -> Dataset:
    names = ("librispeech", "LibriSpeech", "train-clean-100.tar.gz")
    return _recordings("librispeech", _found("librispeech", options, settings, names, "audio"), settings, 16000)


def _found(name: str, options: dict[str, str], settings: Settings, names: tuple[str, ...], modality: str) -> Path:
    """Where a set is: at its ``path``; or by one of ``names`` here or in the data folder, or there by its modality."""
    if "path" in options:
        path = Path(options["path"]).expanduser()
        if not path.exists():
            raise BadInputError(f"{name}: {path}: no such file or folder")
        return path
    places = [Path(each) for each in names]
    if settings.data_folder:
        places += [settings.data_folder / each for each in (*names, modality)]
    for path in places:
        if path.exists():
            return path
    raise BadInputError(
        f"{name} is not here; get it from {HOMES[name]} and give {name}:path=FOLDER, or set COMPGEN_DATA to a folder "
        f"that has it as {names[0]}"
    )


def _modality(path: Path) -> str:
    """The modality that most bytes of a file or folder have, judged by some thousand files spread over it."""
    sizes, files = {"text": 0, "image": 0, "audio": 0}, list(files_below([path]))
    for file in files[:: 1 + len(files) // _JUDGED_FILES]:
        try:
            with open_file(file) as content:
                sizes[modality_of(content.read(MAGIC_BYTES))] += file.stat().st_size
        except (BadInputError, OSError):
            continue
    return max(sizes, key=lambda modality: sizes[modality])


#: Where sets that are not downloaded live.
HOMES = {"imagenet": "https://www.image-net.org/download.php", "librispeech": "https://www.openslr.org/12"}
_MAKERS: dict[str, tuple[tuple[str, ...], Maker]] = {
    **{name: (("path", "layout"), _wikipedia(name)) for name in KNOWN},
    "imagenet": (("path", "layout"), _imagenet),
    "librispeech": (("path", "bits", "layout"), _librispeech),
    "random": (("seed", "bytes", "layout"), _random),
    "file": (("path", "modality", "bits", "layout"), _file),
}
