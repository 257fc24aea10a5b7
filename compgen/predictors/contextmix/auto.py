"""``mode=auto``: find out what is read, while it is read, and which model does best with it.

``detect.py`` guesses, which is cheap; a guess is believed if a small model for it, which starts with nothing, codes the
last bytes in fewer bits than one of the kind in use. What is decided depends on the bytes read and on their number
only, and lengths are sums of integers; so who decodes decides the same, and so does a session that reads byte by byte.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compgen.predictors.contextmix import _fields as fields
from compgen.predictors.contextmix import _kernel as kernel
from compgen.predictors.contextmix import detect, model
from compgen.predictors.contextmix.settings import Shape, recipe

#: Where to look first, how far apart looks are at most, and how many bytes they look at.
FIRST_LOOK = 64
LOOK_EVERY = 1 << 16
LONG_LOOK = 1 << 14
SHORT_LOOK = 1 << 12
#: Slots of a model on trial: for a byte, and at least.
_TRIAL_SLOTS_A_BYTE = 16
_TRIAL_SLOTS = 1 << 13
#: Another kind of model must need less than this many 64ths of the bits.
_BETTER = 63
_NOTHING = np.zeros(1, dtype=np.uint8)

_Bytes = npt.NDArray[np.uint8]


class Finder:
    """What a stream reads, as far as is known (``shape``), and the position at which to look again (``look_at``)."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.shape = Shape()
        self.look_at = FIRST_LOOK

    def copy(self) -> Finder:
        """One that goes on from here by itself."""
        twin = Finder(self.level)
        twin.shape, twin.look_at = self.shape, self.look_at
        return twin

    def look(self, buffer: _Bytes, position: int) -> bool:
        """To be called at ``look_at``: has ``shape`` changed, after what has been read?"""
        before = self.shape
        self.look_at = position + min(position, LOOK_EVERY)
        if position == FIRST_LOOK:
            named = detect.named(buffer[:position].tobytes())
            if named is not None:
                self.shape, self.look_at = named, LOOK_EVERY
        else:
            self._consider(buffer, position)
        return self.shape != before

    def _consider(self, buffer: _Bytes, position: int) -> None:
        """Guess, and let the guesses try."""
        start = position - min(position, LONG_LOOK if position <= 2 * LONG_LOOK else SHORT_LOOK)
        guesses = detect.guesses(buffer, start, position)
        if any(guess.same_kind(self.shape) for guess in guesses[:1]) or (not guesses and self.shape.mode == "general"):
            return
        if self.shape.mode != "general":
            guesses.append(Shape())
        start = max(start, position - SHORT_LOOK)
        here = self.length(self.shape, buffer, start, position)
        others = [guess for guess in guesses if not guess.same_kind(self.shape)]
        lengths = [self.length(guess, buffer, start, position) for guess in others]
        least = min(lengths)
        if least * 64 < here * _BETTER:
            self.shape = others[lengths.index(least)]
        elif position >= LOOK_EVERY:
            self.look_at = 2 * position

    def length(self, shape: Shape, buffer: _Bytes, start: int, stop: int) -> int:
        """Bits, in 4096ths, of ``buffer[start:stop]`` for a model that knows nothing before."""
        slots = max(_TRIAL_SLOTS, 1 << ((stop - start) * _TRIAL_SLOTS_A_BYTE - 1).bit_length())
        trial = self.start(shape, slots, start)
        coder = np.zeros(4, dtype=np.int64)
        kernel.code(trial, fields.SCORE, buffer, stop, coder, _NOTHING, np.zeros(stop - start))
        return int(coder[2])

    def start(self, shape: Shape, slots: int, position: int) -> model.Arrays:
        """A model for such bytes that has read nothing and starts at a position."""
        return model.start(recipe(shape.mode, self.level, shape.bits), shape, slots, position)
