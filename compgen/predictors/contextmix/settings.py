"""What each mode and level of ``cm`` is made of: contexts, selectors of weights, sizes. Tables, no code to speak of."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compgen.predictors.contextmix._fields import AUDIO, AUDIO16, FAR, GENERAL, IMAGE, KNOWN, NEAR, RECENT

_ODD = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Context:
    """What a context looks at: masks over recent bytes and over the features near and far, and how many words."""

    name: str
    recent: int = 0
    near: int = 0
    far: int = 0
    words: str = ""

    def recipe(self, seed: int) -> list[int]:
        """The row of numbers by which the kernel hashes it."""
        words = [_MASK if letter in self.words else 0 for letter in "012g"]
        return [self.recent, self.near, self.far, *words, (seed + 1) * _ODD[0] & _MASK]


@dataclass(frozen=True)
class Selector:
    """Which weights: of ``(words[source] >> shift) & mask``, by bit if ``bits``; or of the bits so far (``tree``)."""

    name: str
    source: int = 0
    shift: int = 0
    mask: int = 0
    bits: bool = False
    tree: bool = False

    @property
    def rows(self) -> int:
        """Number of weight vectors."""
        return 256 if self.tree else (self.mask + 1) * (8 if self.bits else 1)


@dataclass(frozen=True)
class Shape:
    """What bytes are: the parameters of ``cm`` of these names, with what only detection finds.

    ``stride``: bytes from row to row if there are more than ``width`` pixels take, as in BMP files. ``phase``: where
    the first pixel or sample is.
    """

    mode: str = "general"
    width: int = 64
    bits: int = 8
    channels: int = 1
    stride: int = 0
    phase: int = 0

    def same_kind(self, other: Shape) -> bool:
        """Do they differ in where the first row starts only?"""
        mine, its = (dataclasses.replace(s, phase=s.phase if s.bits == 16 else 0) for s in (self, other))
        return mine == its


@dataclass(frozen=True)
class Recipe:
    """A model's make-up: also the numeric means it makes, the shortest matches, and how fast the weights learn."""

    kind: int
    contexts: tuple[Context, ...]
    selectors: tuple[Selector, ...]
    means: int = 0
    #: Predictors whose opinions are inputs too, and what the weights of those start from.
    guides: int = 0
    guide_weight: int = 0
    minimum: tuple[int, int] = (10, 4)
    speed: int = 110
    speed_start: int = 2000
    #: What weights start from, in 65536ths, for contexts and for means.
    context_weight: int = 13107
    mean_weight: int = 13107
    refining: bool = True
    #: A primed model learns as fast as one that has read this many bytes.
    age: int = 1 << 15
    #: Pixels around that are looked at; wide and narrow least squares: see the settings in ``_fields.py``.
    around: int = 0
    regression: tuple[int, ...] = (0, 0, 0, 0, 0, 0, 1)
    #: How slowly the expected errors of the means follow (rate 2**-pace); speed and least energy of the NLMS filters.
    paces: tuple[int, ...] = (4,) * 16
    speeds: tuple[int, int, int] = (0, 0, 0)
    floors: tuple[int, int, int] = (1, 1, 1)


LEVELS = (1, 2, 3)
#: Bytes of the largest table by level, unless said otherwise.
MEMORY_MB = {1: 16, 2: 256, 3: 512}
#: A match this long is none.
NEVER = 1 << 31
MODES = ("auto", "general", "image", "audio")


def _bytes(*places: int) -> int:
    return sum(0xFF << (8 * place) for place in places)


def _order(n: int) -> Context:
    return Context(f"order {n}", recent=(1 << (8 * n)) - 1)


#: Level 1 has what buys most for its time.
_TEXT1 = (
    _order(2),
    _order(4),
    Context("word, order 1", recent=_bytes(0), words="0"),
)
_TEXT1_SELECTORS = (Selector("contexts known", KNOWN, 0, 31, bits=True),)
_TEXT2 = (
    *_TEXT1,
    _order(0),
    _order(3),
    _order(6),
    Context("word, word before, order 1", recent=_bytes(0), words="01"),
    Context("word, first byte of line", near=_bytes(7), words="0"),
    _order(8),
    Context("word, word before the last, order 1", recent=_bytes(0), words="02"),
    Context("byte the long match expects, order 1", recent=_bytes(0), near=_bytes(0, 1)),
    Context("bytes after the last two before, order 1", recent=_bytes(0), far=_bytes(2, 3)),
    Context("kinds of the last 16 bytes, order 1", recent=_bytes(0), far=_bytes(4, 5, 6, 7)),
)
_TEXT2_SELECTORS = (
    Selector("bits so far", tree=True),
    *_TEXT1_SELECTORS,
    Selector("kinds of the last four bytes", FAR, 32, 255),
)
_TEXT3 = (
    *_TEXT2,
    Context("word, gap", words="0g"),
    Context("bytes after the last one before, order 1", recent=_bytes(0), far=_bytes(0, 1)),
    _order(1),
    _order(5),
    Context("bytes 2-3", recent=_bytes(1, 2)),
    Context("bytes 2-4", recent=_bytes(1, 2, 3)),
    Context("byte above, order 2", recent=_bytes(0, 1), near=_bytes(3)),
    Context("word, two words before", words="012"),
    Context("byte the short match expects, order 1", recent=_bytes(0), near=_bytes(5)),
    Context("first byte of line, order 2", recent=_bytes(0, 1), near=_bytes(7)),
    Context("word, bytes after the last two before", far=_bytes(2, 3), words="0"),
    Context("kinds of the last eight bytes, order 2", recent=_bytes(0, 1), far=_bytes(4, 5)),
    Context("word before, order 1", recent=_bytes(0), words="1"),
    Context("bytes 1 and 3", recent=_bytes(0, 2)),
)
_TEXT3_SELECTORS = (
    *_TEXT2_SELECTORS,
    Selector("last byte", RECENT, 0, 255, bits=True),
    Selector("byte before the last", RECENT, 8, 255),
    Selector("byte the short match expects", NEAR, 40, 255),
)
_IMAGE = (
    Context("mean", near=_bytes(4)),
    Context("mean, activity", near=_bytes(4), far=_bytes(0)),
    Context("median", near=_bytes(5)),
    Context("W", near=_bytes(0)),
    Context("N", near=_bytes(1)),
    Context("W/8, N/8", far=_bytes(2, 3)),
    Context("mean/4, W", far=_bytes(4), near=_bytes(0)),
    Context("corrected mean, texture", far=_bytes(6, 7)),
    Context("corrected mean", far=_bytes(7)),
)
_IMAGE_SELECTORS = (
    Selector("place in a block of 8 x 8", NEAR, 48, 63, bits=True),
    Selector("bits so far", tree=True),
    Selector("activity", FAR, 0, 15, bits=True),
    Selector("last error", FAR, 8, 7, bits=True),
)
_AUDIO = (
    Context("mean", near=_bytes(3)),
    Context("mean, activity", near=_bytes(3), far=_bytes(0)),
    Context("order 1", near=_bytes(0)),
    Context("line through two", near=_bytes(5)),
    Context("order 2", near=_bytes(0, 1)),
    Context("mean/2, errors", far=_bytes(4, 5)),
)
_AUDIO_SELECTORS = (
    Selector("bits so far", tree=True),
    Selector("activity", FAR, 0, 15, bits=True),
    Selector("last error", FAR, 8, 15, bits=True),
)
_AUDIO16 = (
    Context("expected byte, activity", near=_bytes(0, 1)),
    Context("expected byte, low byte", near=_bytes(1, 2), far=_bytes(3)),
    Context("sample before", near=_bytes(2, 3, 4), far=_bytes(3)),
)
_AUDIO16_SELECTORS = (
    Selector("activity", FAR, 0, 63, bits=True),
    Selector("last error", FAR, 8, 31, bits=True),
    Selector("expected byte", FAR, 16, 31, bits=True),
)
_TEXT = {1: (_TEXT1, _TEXT1_SELECTORS), 2: (_TEXT2, _TEXT2_SELECTORS), 3: (_TEXT3, _TEXT3_SELECTORS)}


def recipe(mode: str, level: int, bits: int = 8) -> Recipe:
    """The make-up of a mode at a level; images and sound have one level only."""
    if mode == "audio" and bits == 16:
        return Recipe(
            AUDIO16,
            _AUDIO16,
            _AUDIO16_SELECTORS,
            means=8,
            speed=160,
            speed_start=3000,
            context_weight=0,
            mean_weight=8000,
            refining=False,
            regression=(24, 8, 14, 16, 6, 12, 8),
            paces=(4, 4, 4, 4, 4, 4, 6, 3),
            speeds=(600, 1400, 6000),
            floors=(1 << 12, 1 << 10, 1 << 10),
            age=2048,
        )
    if mode == "image":
        return Recipe(
            IMAGE,
            _IMAGE,
            _IMAGE_SELECTORS,
            means=14,
            context_weight=3277,
            mean_weight=6000,
            around=18,
            regression=(18, 8, 10, 10, 6, 8, 4),
            age=2048,
        )
    if mode == "audio":
        return Recipe(
            AUDIO,
            _AUDIO,
            _AUDIO_SELECTORS,
            means=6,
            speed_start=600,
            context_weight=3277,
            mean_weight=16384,
            age=2048,
        )
    contexts, selectors = _TEXT[level]
    if level == 1:
        return Recipe(GENERAL, contexts, selectors, minimum=(NEVER, 6), refining=False)
    weight = 11000 if level == 2 else 7000
    return Recipe(GENERAL, contexts, selectors, speed_start=3000, context_weight=weight)


def guided(made: Recipe, guides: int) -> Recipe:
    """With some guides, which know most at first: contexts begin with little weight, and weights change slowly."""
    if not guides:
        return made
    return dataclasses.replace(made, guides=guides, guide_weight=60000 // guides, context_weight=2000, speed_start=800)


def recipes(contexts: tuple[Context, ...]) -> npt.NDArray[np.uint64]:
    """uint64 ``(8, contexts)``."""
    rows = np.array([context.recipe(seed) for seed, context in enumerate(contexts)], dtype=np.uint64)
    return np.ascontiguousarray(rows.T)
