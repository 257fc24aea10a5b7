"""``mode=auto``: find out what is read, while it is read, and which model does best with it.

``detect.py`` guesses, which is cheap; a guess is believed if a small model for it, which starts with nothing, codes the
last bytes in fewer bits than one of the kind in use. What is decided depends on the bytes read and on their number
only, and lengths are sums of integers; so who decodes decides the same, and so does a session that reads byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable

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
#: One that remembers has an advantage over one that starts.
_MUCH_BETTER = 58
_ENDLESS = 1 << 62
#: Where to ask for the first time whether there are repetitions.
_FIRST_ASKED = 1 << 10
#: Before that, looks are not far apart.
_SOON = 1 << 9
_NOTHING = np.zeros(1, dtype=np.uint8)

_Bytes = npt.NDArray[np.uint8]


class Finder:
    """What a stream reads, as far as is known (``shape``), and the position at which to look again (``look_at``)."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.shape = Shape()
        self.look_at = FIRST_LOOK
        self._ask_at = _FIRST_ASKED

    def copy(self) -> Finder:
        """One that goes on from here by itself."""
        twin = Finder(self.level)
        twin.shape, twin.look_at, twin._ask_at = self.shape, self.look_at, self._ask_at
        return twin

    def look(self, buffer: _Bytes, position: int, remembered: Callable[[int], int]) -> bool:
        """To be called at ``look_at``: has ``shape`` changed, after what has been read?

        ``remembered``: of a position, the bits, in 4096ths, of what comes from there on for the general model that has
        read all before.
        """
        before = self.shape
        self.look_at = position + min(position, LOOK_EVERY)
        named = detect.named(bytes(buffer[:position])) if position == FIRST_LOOK else None
        if named is not None:
            self.shape, self.look_at = named, LOOK_EVERY
        elif self.shape.mode == "general":
            self._consider_numbers(buffer, position)
        elif not self._better_remembered(buffer, position, remembered):
            self._consider_others(buffer, position)
        return self.shape != before

    def _consider_numbers(self, buffer: _Bytes, position: int) -> None:
        """Text is told by a look at each byte, so it costs no trials and few looks."""
        start = position - min(position, LONG_LOOK if position <= 2 * LONG_LOOK else SHORT_LOOK)
        if detect.is_text(buffer, start, position):
            self.look_at = position + min(3 * position, LOOK_EVERY)
            return
        guesses = detect.guesses(buffer, start, position)
        if guesses and not self._repeats(buffer, position) and self._tried(guesses, buffer, position):
            return
        if guesses and position >= LOOK_EVERY:
            self.look_at = 2 * position

    def _consider_others(self, buffer: _Bytes, position: int) -> None:
        """Is it still the same, or numbers of another kind, or none?"""
        start = position - min(position, LONG_LOOK if position <= 2 * LONG_LOOK else SHORT_LOOK)
        guesses = detect.guesses(buffer, start, position)
        if any(guess.same_kind(self.shape) for guess in guesses[:1]):
            return
        if not self._tried([*guesses, Shape()], buffer, position):
            rarely = 1 if position < _SOON else 3
            self.look_at = 2 * position if position >= LOOK_EVERY else position + min(rarely * position, LOOK_EVERY)

    def _tried(self, guesses: list[Shape], buffer: _Bytes, position: int) -> bool:
        """Take the best of the guesses if it does better than the model in use."""
        start = position - min(max(position // 2, FIRST_LOOK), SHORT_LOOK)
        others = [guess for guess in guesses if not guess.same_kind(self.shape)]
        lengths = [self.length(guess, buffer, start, position) for guess in others]
        least = min(lengths, default=_ENDLESS)
        better = least * 64 < self.length(self.shape, buffer, start, position) * _BETTER
        if better:
            self.shape = others[lengths.index(least)]
        return better

    def _repeats(self, buffer: _Bytes, position: int) -> bool:
        return bool(detect.repeated(buffer, position - min(position // 2, SHORT_LOOK), position))

    def _better_remembered(self, buffer: _Bytes, position: int, remembered: Callable[[int], int]) -> bool:
        """Models of numbers do not see repetitions, and trials are too short to: ask one that has read everything.

        That takes as long as to read everything, so it is asked at twice the distance each time.
        """
        if position < self._ask_at:
            return False
        self._ask_at = 2 * position
        if not self._repeats(buffer, position):
            return False
        start = position - min(position // 2, SHORT_LOOK)
        if remembered(start) * 64 >= self.length(self.shape, buffer, start, position) * _MUCH_BETTER:
            return False
        self.shape = Shape()
        return True

    def length(self, shape: Shape, buffer: _Bytes, start: int, stop: int) -> int:
        """Bits, in 4096ths, of ``buffer[start:stop]`` for a model that knows nothing before."""
        slots = max(_TRIAL_SLOTS, 1 << ((stop - start) * _TRIAL_SLOTS_A_BYTE - 1).bit_length())
        trial = self.start(shape, slots, start)
        coder = np.zeros(4, dtype=np.int64)
        kernel.code(trial, fields.SCORE, buffer, stop, coder, _NOTHING, np.zeros(stop - start), None)
        return int(coder[2])

    def start(self, shape: Shape, slots: int, position: int) -> model.Arrays:
        """A model for such bytes that has read nothing and starts at a position."""
        return model.start(recipe(shape.mode, self.level, shape.bits), shape, slots, position)
