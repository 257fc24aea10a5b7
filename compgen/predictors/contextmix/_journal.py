"""Undoing what a model has learnt: a journal of the places it changed in its large arrays, and of what was there.

The large arrays are the slots, the final maps and the places to look for matches: hundreds of megabytes, of which a
byte changes a few hundred bytes. ``m.journal``, uint64, has a list for each, read from its end: entries of three words
(the slot, its place) and of one (place and value). Its first three words say where their next entries go, the next
three where the lists begin. The first word is 0 if nothing is noted.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from compgen.jit import kernel

_njit: Any = numba.njit  # its type stubs do not know all options
_inlined: Any = _njit(
    cache=True, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False, forceinline=True
)
U: Any = np.uint64
U32: Any = np.uint32
I32: Any = np.int32

SLOTS, REFINED, HEADS = range(3)
#: Words before the lists.
HEADER = 6
_LOW32 = np.uint64(0xFFFFFFFF)


def words_a_byte(contexts: int) -> tuple[int, int, int]:
    """The most words that noting takes for a byte: of two slots a context, two final maps a bit, two heads."""
    return 2 * contexts * 3, 2 * 8, 2


@_inlined
def note_slot(m, at):  # type: ignore[no-untyped-def]
    """The slot that starts at byte ``at`` is about to change."""
    j = m.journal[SLOTS]
    if j != U(0):
        pair = U(at) >> U(3)
        m.journal[j] = m.pairs[pair]
        m.journal[j + U(1)] = m.pairs[pair + U(1)]
        m.journal[j + U(2)] = pair
        m.journal[SLOTS] = j + U(3)


@_inlined
def note_refined(m, at):  # type: ignore[no-untyped-def]
    """A value of the final maps is about to change."""
    if m.journal[SLOTS] != U(0):
        j = m.journal[REFINED]
        m.journal[j] = U(at) << U(32) | U(m.refined[at])
        m.journal[REFINED] = j + U(1)


@_inlined
def note_head(m, at):  # type: ignore[no-untyped-def]
    """A place to look for matches is about to change."""
    if m.journal[SLOTS] != U(0):
        j = m.journal[HEADS]
        m.journal[j] = U(at) << U(32) | U(U32(m.heads[at]))
        m.journal[HEADS] = j + U(1)


@kernel
def undo(m):  # type: ignore[no-untyped-def]
    """Take back all that was noted, and empty the journal."""
    j = m.journal[SLOTS]
    while j > m.journal[3 + SLOTS]:
        j -= U(3)
        pair = m.journal[j + U(2)]
        m.pairs[pair] = m.journal[j]
        m.pairs[pair + U(1)] = m.journal[j + U(1)]
    j = m.journal[REFINED]
    while j > m.journal[3 + REFINED]:
        j -= U(1)
        m.refined[m.journal[j] >> U(32)] = np.uint16(m.journal[j] & U(0xFFFF))
    j = m.journal[HEADS]
    while j > m.journal[3 + HEADS]:
        j -= U(1)
        m.heads[m.journal[j] >> U(32)] = I32(m.journal[j] & _LOW32)
    for i in range(3):
        m.journal[i] = m.journal[3 + i]


@kernel
def carry(m, twin):  # type: ignore[no-untyped-def]
    """Copy the journal to ``twin``, and the slots at its places. The others there must be as they were for ``m``."""
    for i in range(3):
        for j in range(m.journal[3 + i], m.journal[i]):
            twin.journal[j] = m.journal[j]
        twin.journal[i] = m.journal[i]
    for j in range(m.journal[3 + SLOTS], m.journal[SLOTS], U(3)):
        pair = m.journal[j + U(2)]
        twin.pairs[pair] = m.pairs[pair]
        twin.pairs[pair + U(1)] = m.pairs[pair + U(1)]
