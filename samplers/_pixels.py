"""Gray pixels as pictures: scaling, and drawing the comparison picture."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from compgen.datasets.images import Pixels

#: The comparison picture, in gray levels and pixels.
_PAPER, _GIVEN, _SAMPLED = (255, 255, 255), (190, 190, 190), (217, 95, 2)
_GAP, _STRIP, _SPACE, _MIN_SIDE = 16, 4, 4, 256


def resize(pixels: Pixels, width: int) -> Pixels:
    """Scale to ``width`` pixels a row, keeping the aspect."""
    height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def comparison(original: Pixels, samples: Sequence[Pixels], given: tuple[int, int]) -> bytes:
    """A PNG: the original, and each sample to its right, on white.

    Along the side on which the context ends runs a thin strip, gray as far as pixels were given, orange where they were
    sampled. ``given`` is the (rows, columns) of the context: all rows or all columns of the picture. Small pictures are
    enlarged by a whole factor.
    """
    height, width = original.shape
    scale = max(1, -(-_MIN_SIDE // max(height, width)))
    by_columns = given[1] < width
    panels = [_panel(original, None, scale, by_columns)]
    panels += [_panel(pixels, given[1] if by_columns else given[0], scale, by_columns) for pixels in samples]
    panel_height, panel_width = panels[0].shape[:2]
    canvas = np.full(
        (panel_height + 2 * _GAP, len(panels) * (panel_width + _GAP) + _GAP, 3), np.array(_PAPER), dtype=np.uint8
    )
    for index, panel in enumerate(panels):
        left = _GAP + index * (panel_width + _GAP)
        canvas[_GAP : _GAP + panel_height, left : left + panel_width] = panel
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _panel(pixels: Pixels, boundary: int | None, scale: int, by_columns: bool) -> Pixels:
    """One picture in colour with its strip below (``by_columns``) or to its left; no strip if there is no boundary."""
    enlarged = np.repeat(np.repeat(pixels, scale, axis=0), scale, axis=1)
    height, width = enlarged.shape
    margin = _STRIP + _SPACE
    shape = (height + margin, width, 3) if by_columns else (height, width + margin, 3)
    panel = np.full(shape, np.array(_PAPER), dtype=np.uint8)
    if by_columns:
        panel[:height] = enlarged[:, :, None]
    else:
        panel[:, margin:] = enlarged[:, :, None]
    if boundary is not None:
        strip = panel[-_STRIP:] if by_columns else panel[:, :_STRIP].transpose(1, 0, 2)
        strip[:, : boundary * scale] = _GIVEN
        strip[:, boundary * scale :] = _SAMPLED
    return panel
