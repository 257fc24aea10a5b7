"""The names of places in the arrays of ``cm``, and how its loops are compiled: what its kernels share."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

#: Without counts of references: arrays are only lent here, and the counting would take half the time.
njit: Any = numba.njit  # its type stubs do not know all options
lent: Any = njit(cache=True, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)
inlined: Any = njit(
    cache=True, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False, forceinline=True
)

U: Any = np.uint64
U32: Any = np.uint32
I32: Any = np.int32
I64: Any = np.int64

#: m.settings, int64: what stays the same for a model (SLOTS, HEADS, LINES: until it grows).
CONTEXTS, INPUTS, SETS, MEANS, KIND, WIDTH, SLOTS, HEADS, LINES, MINIMUM, MINIMUM2, SPEED, SPEED_START = range(13)
#: Is there a final stage?
REFINING = 13
#: What is added to the position for the rates of learning: a model that has read a file before is not as young as its
#: position says, and one that begins in the middle is younger.
AGE = 15
#: And for numbers: channels, pixels around that are looked at, wide least squares (taps, fading, ridge), narrow ones,
#: pace of solving, bytes of a row, where the first row or sample starts. Last: predictors that give advice.
CHANNELS, AROUND, TAPS_A, FADING_A, RIDGE_A, TAPS_B, FADING_B, RIDGE_B, PACE, STRIDE, PHASE, GUIDES = range(16, 28)
#: m.registers, int64: what changes from byte to byte. MATCH, MATCH_LENGTH, and the same for the second match model;
#: starts of this line and the one before; keys of the two probability maps; rates of
#: learning (of weights, of histories, of the final maps); places in m.heads.
POSITION, MATCH, MATCH_LENGTH, MATCH2, MATCH2_LENGTH, LINE, LINE2, KEY, KEY2, RATE, SHIFT, PLACE, PLACE2 = range(13)
REFINE_SHIFT = 13
#: m.words, uint64: the last eight bytes and the eight before; features; hashes of this word, of the two before, and of
#: what has come since that is no word.
RECENT, EARLIER, NEAR, FAR, WORD, WORD1, WORD2, GAP = range(8)
#: A selector whose source is this takes the number of contexts known.
KNOWN = 16
#: A row of m.notes, int32, for a bit: row of weights and probability and logit of each set, and so on.
N_ROW, N_P, N_LOGIT, N_ROW2, N_P2, N_MAP, N_MAP2, N_MATCH, N_MATCH2 = 0, 8, 16, 24, 25, 26, 27, 28, 29
NOTES = 32
GENERAL, IMAGE, AUDIO, AUDIO16 = 0, 1, 2, 3
#: Taps of the adaptive linear predictor; the arrays of means hold up to MAX_MEANS.
TAPS = 16
MAX_MEANS = 16
#: Classes of activity.
CLASSES = 32
#: What the least squares predict from, at most; lengths of the cascaded NLMS filters.
MAX_TAPS = 32
STAGES = (256, 32, 16)
TOTAL = 304
#: Pixels around the next one: W N NW NE, WW NN NNE NEE, NWW NNW WWW NNN, NNEE NNWW NEEE NWWW, NNNE NNNW.
AROUND_X = (-1, 0, -1, 1, -2, 0, 1, 2, -2, -1, -3, 0, 2, -2, 3, -3, 1, -1)
AROUND_Y = (0, 1, 1, 1, 0, 2, 2, 1, 1, 2, 0, 3, 2, 2, 1, 1, 3, 3)
#: Points of a map of probabilities: half a cache line.
POINTS = 16
#: Predictions nearer to the truth than this, in 65536ths, teach the weights nothing.
CLOSE = 256
#: What code() is to do.
READ, ENCODE, DECODE, SCORE = 0, 1, 2, 3

K1 = np.uint64(0x9E3779B97F4A7C15)
K2 = np.uint64(0xC2B2AE3D27D4EB4F)
K3 = np.uint64(0x165667B19E3779F9)
K4 = np.uint64(0xD6E8FEB86659FD93)
K5 = np.uint64(0xFF51AFD7ED558CCD)
L1 = np.uint32(0x9E3779B1)
L2 = np.uint32(0x85EBCA77)
L3 = np.uint32(0xC2B2AE3D)
#: Bits at the end of the first nibble that do not change the cache line of the second nibble's slot.
FAMILY = 2
