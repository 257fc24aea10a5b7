"""Images: some pixels are given, the rest is sampled, both are shown side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from compgen.datasets.images import Pixels, read_gray
from compgen.errors import BadInputError, UsageError
from compgen.fitting import fit_predictor
from compgen.interfaces import Decoding, Predictor, Progress, Rendering, Sampler
from compgen.sampling import check_samples, continue_streams
from samplers._pixels import comparison, resize

#: Pixels a row of the picture in the paper; wider images are scaled down to it unless ``width`` says otherwise.
PAPER_WIDTH = 500
_MODES = ("rows", "above", "raster")


@dataclass(frozen=True)
class ImageSampler(Sampler):
    """Continues a grayscale image. ``mode`` says what is given and in which order the rest is sampled:

    - ``rows``, as in the paper: the first ``context`` pixels of each row are given, the next ``length`` sampled; each
      row is a stream of its own that knows no other row.
    - ``above``: as ``rows``, but the context of a row also holds all *original* rows above it, cut to the same columns.
    - ``raster``: the first ``context`` rows are given, the next ``length`` rows sampled pixel by pixel in scan order,
      each with everything before it, given or sampled, as context: one stream.

    Default context: half of the columns (of the rows, in ``raster``), rounded down; default length: the rest.
    ``width``: scale to this many pixels a row first, keeping the aspect; default: the image's own, but at most 500.

    A codec for images (one with a field ``width``) that is left at its default is told how wide the picture is. There
    is one rendering, a PNG of the original beside all samples; ``sampled`` holds the sampled pixels of all samples, row
    by row.
    """

    name: ClassVar[str] = "image"
    mode: Literal["rows", "above", "raster"] = "rows"
    width: int | None = None
    context: int | None = None
    length: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise UsageError(f"unknown image mode {self.mode!r}; known: {', '.join(_MODES)}")
        for key in ("width", "context", "length"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise UsageError(f"{key} must be at least 1 pixel, not {value}")

    def sample(
        self,
        predictor: Predictor,
        source: bytes,
        *,
        decoding: Decoding,
        samples: int = 1,
        progress: Progress | None = None,
    ) -> list[Rendering]:
        """See :meth:`Sampler.sample`. Row r of sample s is stream s * rows + r, so asking for more changes none."""
        check_samples(samples)
        pixels = read_gray(source)
        width = self.width or min(pixels.shape[1], PAPER_WIDTH)
        if width != pixels.shape[1]:
            pixels = resize(pixels, width)
        original, given = self._geometry(pixels)
        height, columns = original.shape
        if self.mode == "raster":
            contexts = [original[: given[0]].tobytes()]
            length = (height - given[0]) * columns
        else:
            contexts = [
                (original[:row].tobytes() if self.mode == "above" else b"") + original[row, : given[1]].tobytes()
                for row in range(height)
            ]
            length = columns - given[1]
        streams = continue_streams(
            fit_predictor(predictor, width=columns), contexts * samples, length, decoding, progress
        )
        shape = (samples, height - given[0] % height, columns - given[1] % columns)
        drawn = np.stack(streams).astype(np.uint8).reshape(shape)
        filled = [_filled(original, part) for part in drawn]
        return [Rendering(comparison(original, filled, given), ".png", drawn.tobytes())]

    def _geometry(self, pixels: Pixels) -> tuple[Pixels, tuple[int, int]]:
        """The part of the picture that is given or sampled, and the (rows, columns) of what is given in it."""
        axis, what = (0, "rows") if self.mode == "raster" else (1, "columns")
        size = pixels.shape[axis]
        context = size // 2 if self.context is None else self.context
        stop = size if self.length is None else context + self.length
        if not 1 <= context < stop <= size:
            raise BadInputError(
                f"the image has {size} {what}, too few to continue {max(context, 1)} by {max(stop - context, 1)}; "
                "lower context or length, or scale it up with width"
            )
        if axis == 0:
            return pixels[:stop], (context, pixels.shape[1])
        return pixels[:, :stop], (pixels.shape[0], context)


def _filled(original: Pixels, drawn: Pixels) -> Pixels:
    """The original with its lower right part, the shape of ``drawn``, replaced."""
    picture = original.copy()
    picture[-drawn.shape[0] :, -drawn.shape[1] :] = drawn
    return picture
