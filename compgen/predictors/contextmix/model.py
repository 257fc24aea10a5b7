"""The arrays of one running model, how they start, grow, are copied, and go back to where they were."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from compgen.predictors.contextmix import _fields as k
from compgen.predictors.contextmix import _journal as journal
from compgen.predictors.contextmix import tables
from compgen.predictors.contextmix.settings import Recipe, Shape, recipes

#: Slots (16 bytes) to begin with, and how many there are for a byte read before they are made four times as many.
FIRST_SLOTS = 1 << 16
SLOTS_A_BYTE = 32
#: No more probability maps (64 bytes) and places to look for a match (4 bytes) than these.
MAX_LINES = 1 << 17
MAX_HEADS = 1 << 20


class Counts(NamedTuple):
    """How many contexts, vectors of eight inputs, and sets of weights there are, as lengths of tuples.

    The length of a tuple is part of its type, so each level of text has kernels of its own, with its counts as
    constants. For numbers all are empty, and one kernel reads its counts from the settings.
    """

    contexts: tuple[bool, ...] = ()
    vectors: tuple[bool, ...] = ()
    sets: tuple[bool, ...] = ()
    #: One if there are final maps.
    final: tuple[bool, ...] = ()


class Arrays(NamedTuple):
    """What the kernel works on. The tables at the end never change."""

    settings: npt.NDArray[np.int64]
    counts: Counts
    registers: npt.NDArray[np.int64]
    words: npt.NDArray[np.uint64]
    recipes: npt.NDArray[np.uint64]
    #: uint64: the contexts that look at what matches expect.
    expecting: npt.NDArray[np.uint64]
    selectors: npt.NDArray[np.uint64]
    #: uint8 (16 (slots + 4),): the slots and the empty one; and the same as uint64.
    table: npt.NDArray[np.uint8]
    pairs: npt.NDArray[np.uint64]
    #: uint64: what was changed where, see ``_journal.py``.
    journal: npt.NDArray[np.uint64]
    #: By bank (first nibble of even and of odd positions, second nibble) and context: slots in use, asked for, checks.
    bases: npt.NDArray[np.uint32]
    wanted: npt.NDArray[np.uint32]
    checks: npt.NDArray[np.uint8]
    hashes: npt.NDArray[np.uint32]
    #: uint32 (contexts * 256,): P(1) after each history, 32 bits.
    maps: npt.NDArray[np.uint32]
    #: int32 (rows * inputs,) and (256 * 8,): weights of the two layers, 65536 is 1.
    weights: npt.NDArray[np.int32]
    weights2: npt.NDArray[np.int32]
    #: uint16 (lines * 16,): the final probability maps.
    refined: npt.NDArray[np.uint16]
    #: uint32 (2 * 64 * 2,): P(1) by match model, length, expected bit; 22 bits and a count.
    matched: npt.NDArray[np.uint32]
    followers: npt.NDArray[np.uint32]
    heads: npt.NDArray[np.int32]
    #: int32 (9 * inputs,) and (9 * NOTES,): the inputs of the mixers and what learning needs, for 8 bits and a spare.
    inputs: npt.NDArray[np.int32]
    notes: npt.NDArray[np.int32]
    #: Numeric prediction, int64: means and sharpness, errors by mean and activity, taps, linear weights, pixels around.
    means: npt.NDArray[np.int64]
    sharpness: npt.NDArray[np.int64]
    errors: npt.NDArray[np.int64]
    activity: npt.NDArray[np.int64]
    taps: npt.NDArray[np.int64]
    linear: npt.NDArray[np.int64]
    around: npt.NDArray[np.int64]
    #: How far back the pixels around are; errors of the last row; biases by what is around.
    offsets: npt.NDArray[np.int64]
    trail: npt.NDArray[np.int64]
    biases: npt.NDArray[np.int64]
    #: int64 (means * 257,): what is below the middle of each node; then how a wrapped distribution lies, masses.
    cuts: npt.NDArray[np.int64]
    origins: npt.NDArray[np.int64]
    reaches: npt.NDArray[np.int64]
    masses: npt.NDArray[np.int64]
    #: Least squares: see ``_regression.py``. NLMS: weights, residuals (each twice), energies, predictions.
    covariance: npt.NDArray[np.int64]
    factor: npt.NDArray[np.int64]
    solution: npt.NDArray[np.int64]
    filters: npt.NDArray[np.int32]
    past: npt.NDArray[np.int32]
    oldest: npt.NDArray[np.int64]
    energies: npt.NDArray[np.int64]
    corrections: npt.NDArray[np.int64]
    paces: npt.NDArray[np.int64]
    speeds: npt.NDArray[np.int64]
    floors: npt.NDArray[np.int64]
    #: int64 (guides * 512,): what each guide gives the nodes of the byte's tree, in 2**-40ths.
    advice: npt.NDArray[np.int64]
    #: uint64 (16,): what the selectors chose for the two nibbles.
    selected: npt.NDArray[np.uint64]
    transitions: npt.NDArray[np.uint8]
    stretch: npt.NDArray[np.int16]
    squash: npt.NDArray[np.uint16]
    reciprocals: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    logarithms: npt.NDArray[np.int32]


#: The fields of Arrays that never change.
_CONSTANT = (
    "settings",
    "counts",
    "recipes",
    "expecting",
    "selectors",
    "transitions",
    "stretch",
    "squash",
    "reciprocals",
    "lengths",
    "logarithms",
    "offsets",
    "paces",
    "speeds",
    "floors",
)
#: Those whose changes a journal notes.
_LARGE = ("table", "refined", "heads")
_SMALL = tuple(name for name in Arrays._fields if name not in (*_CONSTANT, *_LARGE, "pairs", "journal"))
#: What numbers teach that is good for other numbers, and the room for it.
_LEARNT = ("table", "pairs", "refined", "heads", "maps", "weights", "weights2", "matched", "errors", "biases")
#: A primed model is not to grow within so many bytes, as blocks could not give it back then.
SOON_BYTES = 1 << 16


def _aligned(count: int, dtype: Any) -> Any:
    """Zeros that start at a cache line."""
    size = count * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype)


def _aligned_copy(array: Any) -> Any:
    twin = _aligned(len(array), array.dtype)
    np.copyto(twin, array)
    return twin


def _selectors(recipe: Recipe) -> tuple[npt.NDArray[np.uint64], int]:
    """The selectors as the kernel wants them, and the number of weight vectors.

    Eight numbers each: word, shift, mask, vectors a value, first vector, masks of what is added (bits so far, number
    of the bit), nothing.
    """
    table, row = [], 0
    for s in recipe.selectors:
        stride = 0 if s.tree else 8 if s.bits else 1
        table.append((s.source, s.shift, s.mask, stride, row, 255 if s.tree else 0, 7 if s.bits else 0, 0))
        row += s.rows
    return np.array(table, dtype=np.uint64).reshape(-1), row


#: The first distributions are this sharp, and lie around 0 or in the middle of the bytes.
_SHARPNESS = 355 << 8


def _first_cuts(recipe: Recipe) -> npt.NDArray[np.int64]:
    """What the first distributions have below 0 and below 256: of a low byte, in three turns."""
    cuts = np.zeros((recipe.means, 257), dtype=np.int64)
    cuts[:, 256] = 65536
    if recipe.kind == k.AUDIO16:
        ends = np.arange(-256, 257, 256)
        for end in (0, 256):
            logits = ((ends + end) * 256 - 128) * _SHARPNESS >> 20
            cuts[:, end] = tables.squash()[np.clip(logits, -3072, 3071) + 3072].sum()
    return cuts.reshape(-1)


def _first_errors() -> npt.NDArray[np.int64]:
    """Expected at first by class of activity: 1 and half the square root of 2**class, in 256ths."""
    return np.array([256 + math.isqrt(1 << 14 + size) for size in range(k.CLASSES)], dtype=np.int64)


#: Where what matches expect is in a word of features.
_EXPECTED = 0x00FFFF00_0000FFFF


def _counts(recipe: Recipe, inputs: int) -> Counts:
    if recipe.kind != k.GENERAL:
        return Counts()
    lengths = len(recipe.contexts), inputs // 8, len(recipe.selectors), int(recipe.refining)
    return Counts(*((False,) * length for length in lengths))


def start(recipe: Recipe, shape: Shape, max_slots: int, position: int = 0) -> Arrays:
    """A model that has read nothing, and is to begin at a position."""
    channels, stride = shape.channels, shape.stride or shape.width * shape.channels
    width = -(-stride // channels)
    n = len(recipe.contexts)
    inputs = -(-(n + 5 + recipe.means + 2 * recipe.guides) // 8) * 8
    slots = min(FIRST_SLOTS, max_slots)
    selectors, rows = _selectors(recipe)
    settings = np.zeros(32, dtype=np.int64)
    settings[: k.REFINING + 1] = (
        n, inputs, len(recipe.selectors), recipe.means, recipe.kind, width, slots, slots // 4, slots // 4,
        *recipe.minimum, recipe.speed, recipe.speed_start, recipe.refining,
    )  # fmt: skip
    settings[k.CHANNELS : k.PACE + 1] = channels, recipe.around, *recipe.regression
    settings[k.STRIDE], settings[k.PHASE], settings[k.GUIDES] = stride, shape.phase, recipe.guides
    if recipe.kind == k.IMAGE:
        settings[k.TAPS_A] += 4 * (channels - 1)
    wide, narrow = int(settings[k.TAPS_A]), int(settings[k.TAPS_B])
    settings[k.AGE] = -position
    registers = np.zeros(16, dtype=np.int64)
    registers[k.POSITION] = position
    weights = _aligned(rows * inputs, np.int32)
    weights.reshape(rows, inputs)[:, :n] = recipe.context_weight
    weights.reshape(rows, inputs)[:, n + 5 : n + 5 + recipe.means] = recipe.mean_weight
    weights.reshape(rows, inputs)[:, n + 5 + recipe.means :][:, : 2 * recipe.guides : 2] = recipe.guide_weight
    weights2 = _aligned(256 * 8, np.int32)
    weights2.reshape(256, 8)[:, : len(recipe.selectors)] = 65536 // len(recipe.selectors)
    refined = _aligned(slots // 4 * k.POINTS, np.uint16)
    refined.reshape(-1, k.POINTS)[:] = tables.squash()[np.arange(k.POINTS) * 256 + tables.SQUASH_LIMIT - 1920]
    table = _aligned(16 * (slots + 4), np.uint8)
    return Arrays(
        settings=settings,
        counts=_counts(recipe, inputs),
        registers=registers,
        words=np.zeros(16, dtype=np.uint64),
        recipes=recipes(recipe.contexts),
        expecting=np.array([i for i, c in enumerate(recipe.contexts) if c.near & _EXPECTED], dtype=np.uint64),
        selectors=selectors,
        table=table,
        pairs=table.view(np.uint64),
        journal=np.zeros(1, dtype=np.uint64),
        bases=np.zeros(3 * n, dtype=np.uint32),
        wanted=np.zeros(3 * n, dtype=np.uint32),
        checks=np.zeros(3 * n, dtype=np.uint8),
        hashes=np.zeros(n, dtype=np.uint32),
        maps=np.tile(tables.first_guesses(), n),
        weights=weights,
        weights2=weights2,
        refined=refined,
        matched=tables.first_matched(),
        followers=np.zeros(256 + (1 << 15), dtype=np.uint32),
        heads=np.zeros(2 * (slots // 4), dtype=np.int32),
        inputs=_aligned(9 * inputs, np.int32),
        notes=_aligned(9 * k.NOTES, np.int32),
        means=np.full(k.MAX_MEANS, 0 if recipe.kind == k.AUDIO16 else 32768, dtype=np.int64),
        sharpness=np.full(k.MAX_MEANS, _SHARPNESS, dtype=np.int64),
        errors=np.tile(_first_errors(), k.MAX_MEANS),
        activity=np.zeros(8, dtype=np.int64),
        taps=np.zeros(k.MAX_TAPS, dtype=np.int64),
        linear=np.zeros(channels * 2 * k.TAPS, dtype=np.int64),
        around=np.zeros(k.MAX_TAPS, dtype=np.int64),
        offsets=np.array(k.AROUND_Y, dtype=np.int64) * stride - np.array(k.AROUND_X) * channels,
        trail=np.zeros(stride if recipe.kind == k.IMAGE else 1, dtype=np.int64),
        biases=np.zeros(1 << 15 if recipe.kind == k.IMAGE else 1, dtype=np.int64),
        cuts=_first_cuts(recipe),
        origins=np.full(k.MAX_MEANS, -256, dtype=np.int64),
        reaches=np.full(k.MAX_MEANS, 3, dtype=np.int64),
        masses=np.zeros(k.MAX_MEANS * 16, dtype=np.int64),
        covariance=np.zeros(channels * ((wide + 1) * wide + (narrow + 1) * narrow), dtype=np.int64),
        factor=np.zeros(wide * wide + 2 * wide, dtype=np.int64),
        solution=np.zeros(channels * (wide + narrow), dtype=np.int64),
        filters=np.zeros(channels * k.TOTAL, dtype=np.int32),
        past=np.zeros(2 * channels * k.TOTAL, dtype=np.int32),
        oldest=np.zeros(3 * channels, dtype=np.int64),
        energies=np.zeros(3 * channels, dtype=np.int64),
        corrections=np.zeros(3, dtype=np.int64),
        paces=np.array((recipe.paces * 16)[: k.MAX_MEANS], dtype=np.int64),
        speeds=np.array(recipe.speeds, dtype=np.int64),
        floors=np.array(recipe.floors, dtype=np.int64),
        advice=np.zeros(recipe.guides * 512, dtype=np.int64),
        selected=np.zeros(16, dtype=np.uint64),
        transitions=tables.transitions(),
        stretch=tables.stretch().astype(np.int16),  # as small as they can be, for the cache's sake
        squash=tables.squash().astype(np.uint16),
        reciprocals=tables.reciprocals(),
        lengths=tables.lengths(),
        logarithms=tables.logarithms(),
    )


def grown(m: Arrays, max_slots: int) -> Arrays:
    """The model with four times the room. Every entry is found where it is looked for, as all are there four times."""
    old = int(m.settings[k.SLOTS])
    slots = min(4 * old, max_slots)
    settings = m.settings.copy()
    settings[k.SLOTS] = slots
    settings[k.HEADS] = min(slots // 4, MAX_HEADS)
    settings[k.LINES] = min(slots // 4, MAX_LINES)
    table = _aligned(16 * (slots + 4), np.uint8)
    table[: 16 * slots].reshape(-1, 16 * old)[:] = m.table[: 16 * old]
    refined = _aligned(int(settings[k.LINES]) * k.POINTS, np.uint16)
    refined.reshape(-1, len(m.refined))[:] = m.refined
    heads = np.tile(m.heads.reshape(2, 1, -1), (1, int(settings[k.HEADS] // m.settings[k.HEADS]), 1)).reshape(-1)
    bases = np.where(m.bases == 16 * old, 16 * slots, m.bases).astype(np.uint32)
    return m._replace(
        settings=settings,
        table=table,
        pairs=table.view(np.uint64),
        journal=np.zeros(1, dtype=np.uint64),
        refined=refined,
        heads=heads,
        bases=bases,
    )


def primed(m: Arrays, recipe: Recipe, shape: Shape, max_slots: int) -> Arrays:
    """What a model that has read something is to start from; it learns as fast as one that has read ``recipe.age``.

    Numbers start anew, at the first row of another image, or the first sample of another speaker, with what was learnt.
    Text goes on, since matches are to be found in what was read; there must be room enough not to grow at once.
    """
    if recipe.kind == k.GENERAL:
        while limit(m, max_slots) < int(m.registers[k.POSITION]) + SOON_BYTES:
            m = grown(m, max_slots)
    else:
        m = start(recipe, shape, max_slots)._replace(**{name: getattr(m, name) for name in ("settings", *_LEARNT)})
    settings = m.settings.copy()
    settings[k.PHASE] = shape.phase
    settings[k.AGE] = recipe.age - m.registers[k.POSITION]
    return m._replace(settings=settings)


def limit(m: Arrays, max_slots: int) -> int:
    """The position at which the model is to grow."""
    slots = int(m.settings[k.SLOTS])
    return slots // SLOTS_A_BYTE if slots < max_slots else (1 << 31) - 1


def copy(m: Arrays, table: npt.NDArray[np.uint8] | None = None) -> Arrays:
    """An independent copy without a journal. ``table``: a copy of the slots, if there is one already."""
    parts = {name: _aligned_copy(getattr(m, name)) for name in (*_SMALL, "refined", "heads")}
    table = _aligned_copy(m.table) if table is None else table
    return m._replace(**parts, table=table, pairs=table.view(np.uint64), journal=np.zeros(1, dtype=np.uint64))


def noting(m: Arrays, count: int) -> Arrays:
    """The same arrays with an empty journal with room for ``count`` bytes, in which is written from now on what they
    were.
    """
    words = journal.words_a_byte(int(m.settings[k.CONTEXTS]))
    begins = journal.HEADER + count * np.array([0, words[0], words[0] + words[1]])
    notes = np.empty(journal.HEADER + count * sum(words), dtype=np.uint64)  # memory is taken when it is written to
    notes[: journal.HEADER] = [*begins, *begins]
    return m._replace(journal=notes)


def room_to_note(m: Arrays) -> int:
    """Bytes of data that can be read until the journal is full."""
    words = journal.words_a_byte(int(m.settings[k.CONTEXTS]))[0]
    return int(m.journal[3 + journal.REFINED] - m.journal[journal.SLOTS]) // words


def stop_noting(m: Arrays) -> None:
    """Forget what was noted."""
    m.journal[0] = 0


def is_noting(m: Arrays) -> bool:
    """Does the journal hold all that was changed since it was begun?"""
    return bool(m.journal[0])


def restore(m: Arrays, before: Arrays) -> None:
    """Make ``m``, whose journal was begun when it was like ``before``, like that again."""
    if is_noting(m):
        journal.undo(m)
    else:
        for name in _LARGE:
            np.copyto(getattr(m, name), getattr(before, name))
        m.journal[:3] = m.journal[3 : journal.HEADER]
    _copy_small(before, m)


def branched(m: Arrays, table: npt.NDArray[np.uint8]) -> Arrays:
    """An independent copy, journal included, given a copy of the slots as they were when the journal was begun."""
    twin = copy(m, table)._replace(journal=np.empty_like(m.journal))
    twin.journal[: journal.HEADER] = m.journal[: journal.HEADER]
    journal.carry(m, twin)
    return twin


def _copy_small(source: Arrays, target: Arrays) -> None:
    for name in _SMALL:
        np.copyto(getattr(target, name), getattr(source, name))
