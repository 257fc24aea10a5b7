"""Figures 3 and 5, and sound: what predictors make of the beginning of a text, an image, a recording, side by side.

- text: the first 1948 bytes of a chunk of 2048 are given, 100 are sampled;
- images: of each row of pixels the first half is given, the second sampled, as the paper does with pictures 500 wide;
- audio: the first half of a chunk is given, the second half sampled.

Sampling is what ``compgen sample`` does, by the samplers that are registered. Beside each sample stands what it says
little about: the bits a byte that the true continuation costs under the same predictor, teacher-forced.
"""

from __future__ import annotations

import base64
import io
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from compgen import registry
from compgen.benchmark.engine import Piece, Run
from compgen.benchmark.rows import Row, about_subject, about_training, digest, opened, rounded
from compgen.benchmark.subjects import Subject, require_lengths
from compgen.bridge import CompressorPredictor, as_compressor, as_predictor
from compgen.datasets import Dataset
from compgen.datasets.images import Images, Pixels
from compgen.errors import BadInputError, CompgenError, UsageError
from compgen.fitting import fit_predictor
from compgen.interfaces import Compressor, Decoding, Predictor

DATASETS = ("enwik8", "imagenet", "librispeech")
#: By modality, where no models are named.
MODELS = {
    "text": ("gzip", "cm", "transformer:size=800k"),
    "image": ("gzip", "png", "cm"),
    "audio": ("gzip", "flac", "cm"),
    "random": ("gzip", "cm"),
}
#: Of a chunk of 2048 bytes of text, and of any other chunk of text its part.
_TEXT_GIVEN, _TEXT_CHUNK = 1948, 2048
#: Number of the first chunk or image that is continued.
FIRST = 16
#: Pixels a row to which images are scaled unless told otherwise, to take minutes and not hours; the paper has 500.
IMAGE_WIDTH = 128
#: Rows of an image that are one piece of work.
_BAND_ROWS = 16


@dataclass(frozen=True)
class Part:
    """What one piece of work continues: a file for a sampler, and the same as bytes for teacher forcing."""

    source: bytes
    contexts: tuple[bytes, ...]
    truths: tuple[bytes, ...]


@dataclass(frozen=True)
class Excerpt:
    """Something to continue, in one part or several (bands of an image)."""

    sampler: str
    parameters: dict[str, Any]
    parts: list[Part]
    geometry: dict[str, Any] = field(default_factory=dict)

    @property
    def context(self) -> bytes:
        """All that is given."""
        return b"".join(context for part in self.parts for context in part.contexts)

    @property
    def truth(self) -> bytes:
        """All that follows in truth."""
        return b"".join(truth for part in self.parts for truth in part.truths)


def generation(
    datasets: str | Dataset | Iterable[str | Dataset] = DATASETS,
    models: Iterable[str | Compressor | Predictor] | None = None,
    *,
    excerpts: int = 1,
    first: int = FIRST,
    decoding: Decoding | None = None,
    image_width: int = IMAGE_WIDTH,
    run: Run | None = None,
    **settings: Any,
) -> list[Row]:
    """Continuations of some chunks (or images) of each data set: a row for each and each model.

    :param models: specs or objects of predictors and codecs; default: some that suit the modality.
    :param excerpts: how many chunks or images.
    :param first: the number of the first; earlier ones where there are not so many. Files begin with headers and
        recordings with silence, so it is not 0 unless given.
    :param decoding: temperature, top-k, top-p, seed.
    :param image_width: images are scaled to so many pixels a row first.
    :param run: where results are kept and progress is told; default: nowhere.
    :param settings: of :func:`compgen.datasets.load`.

    Bytes in rows are base64: what was given, what follows in truth, what was sampled.

    >>> [row] = generation("random:bytes=2048", ["order0"])
    >>> row["sampled_bytes"], 7 < row["truth_bits_per_byte"] < 9
    (100, True)
    """
    if excerpts < 1:
        raise UsageError(f"excerpts must be at least 1, not {excerpts}")
    if image_width < 2:
        raise UsageError(f"images must be at least 2 pixels wide, not {image_width}")
    run, rows, decoding = run or Run(), list[Row](), decoding or Decoding()
    if settings.get("limit_chunks") is None and settings.get("limit_bytes") is None:
        settings["limit_chunks"] = first + excerpts
    work = []
    for dataset in opened(datasets, **settings):
        specs = list(models) if models is not None else list(MODELS[dataset.modality])
        row: Row = {"experiment": "generation", "dataset": dataset.name, "modality": dataset.modality}
        try:
            found = _some(dataset, image_width, first, excerpts)
            if not found:
                raise BadInputError(f"{dataset.name} has nothing to continue; give more data or smaller chunks")
        except CompgenError as error:
            rows += [{**row, "model": _name(spec), **_failed(error)} for spec in specs]
            continue
        work += [({**row, "excerpt": n}, dataset, one, spec) for n, one in enumerate(found) for spec in specs]
    for _, _, excerpt, spec in work:
        run.expect(_cost(excerpt, registry.predictor(spec) if _is_cheap(spec) else None))
    for row, dataset, excerpt, spec in work:
        row["model"] = _name(spec)
        try:
            rows.append({**row, **_continued(row, dataset, excerpt, spec, decoding, run)})
        except UsageError:
            raise
        except CompgenError as error:
            rows.append({**row, **_failed(error)})
    return rows


def _name(spec: Any) -> str:
    return str(getattr(spec, "spec", spec))


def _failed(error: CompgenError) -> Row:
    return {"truth_bits_per_byte": None, "sampled_bytes": None, "status": "failed", "error": str(error)}


def _is_cheap(spec: Any) -> bool:
    return not (isinstance(spec, str) and "hf:" in spec)


def _cost(excerpt: Excerpt, model: Predictor | None) -> float:
    """A rough guess in seconds, for the progress bar: what a step costs, twice."""
    codec = getattr(model, "compressor", None)
    step = 1e-3 if codec is None or not codec.brute_force else 4e-2
    return 2 * step * len(excerpt.truth)


def _continued(row: Row, dataset: Dataset, excerpt: Excerpt, spec: Any, decoding: Decoding, run: Run) -> Row:
    fitted = fit_predictor(registry.predictor(spec), **excerpt.geometry)
    codec = fitted.compressor if isinstance(fitted, CompressorPredictor) else as_compressor(fitted)
    found = Subject(row["model"], codec)
    values = run.values(_pieces(row, excerpt, found, decoding))
    sampled = b"".join(base64.b64decode(value["sampled_base64"]) for value in values)
    bits = math.fsum(value["truth_bits"] for value in values)
    return {
        **about_subject(found),
        **about_training(found, dataset),
        **asdict(decoding),
        "context_bytes": len(excerpt.context),
        "sampled_bytes": len(sampled),
        "truth_bits_per_byte": rounded(bits / len(excerpt.truth)),
        **{key: excerpt.geometry.get(key) for key in ("width", "bits", "samplerate")},
        "data_sha256": digest([excerpt.context, excerpt.truth]),
        "context_base64": _text(excerpt.context),
        "truth_base64": _text(excerpt.truth),
        "sampled_base64": _text(sampled),
        "status": "ok",
        "error": None,
    }


def _pieces(row: Row, excerpt: Excerpt, found: Subject, decoding: Decoding) -> Iterator[Piece]:
    model = as_predictor(found.compressor)
    cost = _cost(excerpt, model) / len(excerpt.parts)
    for index, part in enumerate(excerpt.parts):
        # Bands of an image have streams of the same numbers: another seed gives them random numbers of their own.
        seed = decoding.seed + (index << 32)
        own = Decoding(decoding.temperature, decoding.top_k, decoding.top_p, decoding.greedy, seed)
        key = {
            "what": "continuation",
            "data_sha256": digest([part.source, *part.contexts, *part.truths]),
            "sampler": [excerpt.sampler, excerpt.parameters],
            "decoding": asdict(own),
            **found.identity,
        }
        arguments = (model, excerpt.sampler, excerpt.parameters, part, own)
        cell = f"{row['dataset']}/{row['excerpt']}/{row['model']}"
        yield Piece(cell, index, key, continuation, arguments, cost, found.alone)


def continuation(
    model: Predictor, sampler: str, parameters: dict[str, Any], part: Part, decoding: Decoding
) -> dict[str, Any]:
    """What a job does: a sample, and the bits of what follows in truth."""
    [rendering] = registry.sampler(sampler, **parameters).sample(model, part.source, decoding=decoding)
    bits = model.code_lengths(part.truths, part.contexts)
    [total] = require_lengths(as_compressor(model), [math.fsum(map(math.fsum, bits))])
    return {"sampled_base64": _text(rendering.sampled), "truth_bits": rounded(total)}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --- what is continued -----------------------------------------------------------------------------------------------


def _some(dataset: Dataset, image_width: int, first: int, count: int) -> list[Excerpt]:
    """``count`` excerpts from number ``first`` on, or the last ones if there are fewer."""
    return list(deque(islice(_excerpts(dataset, image_width), first + count), maxlen=count))


def _excerpts(dataset: Dataset, image_width: int) -> Iterator[Excerpt]:
    if dataset.modality == "image":
        for pixels in _pictures(dataset):
            yield _image(_scaled(pixels, image_width))
    else:
        make = _audio if dataset.modality == "audio" else _bytes
        for chunk in dataset.chunks():
            yield make(chunk, dataset)


def _bytes(chunk: bytes, dataset: Dataset) -> Excerpt:
    given = len(chunk) * _TEXT_GIVEN // _TEXT_CHUNK
    part = Part(chunk[:given], (chunk[:given],), (chunk[given:],))
    # Not the sampler of text, which would leave out what is left of a character at the start.
    return Excerpt("bytes", {"context": given, "length": len(chunk) - given}, [part])


def _audio(chunk: bytes, dataset: Dataset) -> Excerpt:
    bits, samplerate = dataset.bits or 8, dataset.samplerate or 16000
    if bits == 8:
        pcm = (np.frombuffer(chunk, np.uint8).astype(np.int16) - 128) << 8
        seen = chunk
    else:
        pcm = np.frombuffer(chunk, "<i2").astype(np.int16)
        seen = pcm.astype(">i2").tobytes()  # the sampler has the high byte first
    file = io.BytesIO()
    soundfile.write(file, pcm, samplerate, format="WAV", subtype="PCM_16")
    half = len(pcm) // 2
    given = half * bits // 8
    geometry: dict[str, Any] = {"bits": bits, "byteorder": "big", "samplerate": samplerate}
    if bits == 8:
        geometry["mode"] = "audio"
    part = Part(file.getvalue(), (seen[:given],), (seen[given:],))
    return Excerpt("audio", {"bits": bits, "context": half, "length": len(pcm) - half}, [part], geometry)


def _image(pixels: Pixels) -> Excerpt:
    height, width = pixels.shape
    half = width // 2
    parts = []
    for top in range(0, height, _BAND_ROWS):
        band = pixels[top : top + _BAND_ROWS]
        file = io.BytesIO()
        Image.fromarray(band).save(file, "PNG")
        given, following = tuple(row[:half].tobytes() for row in band), tuple(row[half:].tobytes() for row in band)
        parts.append(Part(file.getvalue(), given, following))
    return Excerpt("image", {"mode": "rows", "width": width}, parts, {"width": width, "mode": "image"})


def _pictures(dataset: Dataset) -> Iterator[Pixels]:
    """The images of a data set, whole where it is made of files, else its tiles. What is unreadable is passed over."""
    if isinstance(dataset.source, Images):
        yield from dataset.source.pictures(lambda path, reason: None)
    else:
        for chunk in dataset.chunks():
            yield np.frombuffer(chunk, np.uint8).reshape(-1, dataset.width or 64)


def _scaled(pixels: Pixels, width: int) -> Pixels:
    height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
    if width == pixels.shape[1]:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def picture_of(row: Row, key: str) -> Pixels:
    """The picture of a row of an image: what was given beside what was sampled (``key`` ``sampled_base64``) or true."""
    width = int(row["width"])
    half = width // 2
    given = np.frombuffer(base64.b64decode(row["context_base64"]), np.uint8).reshape(-1, half)
    rest = np.frombuffer(base64.b64decode(row[key]), np.uint8).reshape(-1, width - half)
    return np.concatenate([given, rest], axis=1)


def sound_of(row: Row, key: str) -> np.typing.NDArray[np.int16]:
    """The samples of a row of audio, what was given and what was sampled or true."""
    data = base64.b64decode(row["context_base64"]) + base64.b64decode(row[key])
    if row["bits"] == 8:
        return ((np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8).astype(np.int16)
    return np.frombuffer(data, ">i2").astype(np.int16)


def text_of(row: Row, key: str) -> str:
    """The bytes of a row as text, what is no UTF-8 as U+FFFD."""
    return base64.b64decode(row[key]).decode("utf-8", "replace")
