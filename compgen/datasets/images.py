"""Images as gray tiles."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from compgen.datasets.contents import contents
from compgen.datasets.dataset import TILE_WIDTH, Skip
from compgen.errors import BadInputError

Pixels = npt.NDArray[np.uint8]

#: Columns of a table that may hold images.
_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp", "bytes")


@dataclass(frozen=True)
class Images:
    """Tiles of images, in scan order: ``chunk_bytes / 64`` rows of 64 gray pixels each, next to one another.

    What is left at the right and at the bottom is left out. ``upright``: turn images as their EXIF data say.
    """

    joined: ClassVar[bool] = False

    paths: tuple[Path, ...]
    upright: bool = True

    def pieces(self, chunk_bytes: int, skip: Skip) -> Iterator[bytes]:
        """See :meth:`Source.pieces`: the tiles of one image each."""
        for name, content in contents(self.paths, _COLUMNS, skip):
            try:
                tiles = tiles_of(read_gray(content, self.upright), chunk_bytes // TILE_WIDTH)
            except BadInputError as error:
                skip(name, str(error))
            else:
                yield tiles.tobytes()

    def pictures(self, skip: Skip) -> Iterator[Pixels]:
        """The images whole, uint8 ``(height, width)`` each."""
        for name, content in contents(self.paths, _COLUMNS, skip):
            try:
                yield read_gray(content, self.upright)
            except BadInputError as error:
                skip(name, str(error))


def tiles_of(pixels: Pixels, rows: int) -> Pixels:
    """The tiles of an image in scan order: uint8 ``(tiles, rows, 64)``.

    Raises :class:`~compgen.errors.BadInputError` if not even one fits.
    """
    height, width = pixels.shape
    down, across = height // rows, width // TILE_WIDTH
    if not down * across:
        raise BadInputError(f"{width}x{height} pixels, smaller than a tile of {TILE_WIDTH}x{rows}")
    whole = pixels[: down * rows, : across * TILE_WIDTH]
    return whole.reshape(down, rows, across, TILE_WIDTH).swapaxes(1, 2).reshape(-1, rows, TILE_WIDTH)


def read_gray(source: bytes, upright: bool = True) -> Pixels:
    """Decode an image file to uint8 ``(height, width)``: the mean of red, green and blue, rounded down.

    The first frame of an animation, turned ``upright`` as its EXIF data say, transparent parts over white, 16-bit
    samples cut to their top 8 bits. Raises :class:`~compgen.errors.BadInputError` for what Pillow cannot read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities of metadata are of no interest here ...
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # ... but this one is
            with Image.open(io.BytesIO(source)) as image:
                image.load()
                return _gray(ImageOps.exif_transpose(image) if upright else image)
    except UnidentifiedImageError:
        raise BadInputError("the input is not an image that Pillow can read; convert it to PNG or JPEG") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadInputError(
            f"the image has more than {Image.MAX_IMAGE_PIXELS:,} pixels once decoded; scale it down first"
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow's decoders raise on damaged files
        raise BadInputError(f"the image is damaged ({error}); open and save it again in another program") from None


def _gray(image: Image.Image) -> Pixels:
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if image.mode.startswith("I"):  # 16 bits, or 32 that hold 16
        wide = np.asarray(image).astype(np.int64)
        return np.clip(wide >> 8 if wide.max() > 255 or image.mode != "I" else wide, 0, 255).astype(np.uint8)
    if image.mode == "F":
        real = np.nan_to_num(np.asarray(image).astype(np.float64))
        return np.clip(real * (255.0 if real.max() <= 1.0 else 1.0), 0.0, 255.0).astype(np.uint8)
    if image.has_transparency_data:
        over = Image.new("RGBA", image.size, "white")
        over.alpha_composite(image.convert("RGBA"))
        image = over
    channels = np.asarray(image.convert("RGB")).astype(np.uint16)
    gray: Pixels = (channels.sum(axis=-1) // 3).astype(np.uint8)
    return gray
