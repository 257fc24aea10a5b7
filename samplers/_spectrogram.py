"""A picture of two sounds, original above sampled, with a line where the context ends."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from compgen.interfaces import FloatArray

_FRAME, _FLOOR_DB = 256, -90.0


def spectrogram(original: FloatArray, sampled: FloatArray, samplerate: int, boundary: int) -> bytes | None:
    """A PNG of two signals in [-1, 1], float64 ``(samples,)``; None where matplotlib is not installed.

    ``boundary``: how many samples were given. Power in dB relative to a full-scale sine.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(8.0, 5.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    unit, scale = ("ms", 1000.0) if len(sampled) < 2 * samplerate else ("s", 1.0)
    for ax, signal, title in ((axes[0], original, "original"), (axes[1], sampled, "sampled")):
        end = max(len(signal), 1) / samplerate * scale
        image = ax.imshow(
            _power_db(signal),
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=_FLOOR_DB,
            vmax=0.0,
            extent=(0.0, end, 0.0, samplerate / 2000.0),
        )
        ax.axvline(boundary / samplerate * scale, color="white", linewidth=1.0, linestyle=(0, (4, 3)))
        ax.set_title(title, loc="left", fontsize=10)
        ax.set_ylabel("frequency (kHz)")
    axes[1].set_xlabel(f"time ({unit}); the part before the line is given")
    axes[1].set_xlim(0.0, len(sampled) / samplerate * scale)
    figure.colorbar(image, ax=list(axes), label="power (dB)")
    return _png(figure)


def _power_db(signal: FloatArray) -> FloatArray:
    """Power of Hann-windowed frames: ``(frequencies, frames)``. Frames centre on their time; beyond the ends the signal
    stays at its last value, as a jump to 0 would show at all frequencies.
    """
    hop = int(np.clip(len(signal) // 800, 8, _FRAME // 2))
    padded = np.pad(signal, _FRAME // 2, mode="edge")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::hop]
    spectrum = np.fft.rfft(frames * np.hanning(_FRAME), axis=-1) / (_FRAME / 4.0)
    power: FloatArray = 20.0 * np.log10(np.maximum(np.abs(spectrum), 10.0 ** (_FLOOR_DB / 20.0)))
    return power.T


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
