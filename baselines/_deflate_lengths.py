"""The exact deflate lengths of the 256 one-byte continuations, from the parse and the cost of its blocks."""

from __future__ import annotations

import numpy as np

from baselines import _deflate_blocks as blocks
from baselines import _deflate_parse as parse
from baselines._deflate_blocks import LENGTH_SYMBOL
from compgen.jit import inner, kernel


@kernel
def continuation_bits(data, state, settings, head, previous, literals, distances, block, work, wanted, out):  # type: ignore[no-untyped-def]
    """Bits of the raw deflate stream of the data and one more byte, for the bytes ``wanted[0] <= b < wanted[1]``."""
    steps = np.empty((parse.MAX_TAIL, 4), np.int64)
    endings = np.empty((256, 5), np.int64)
    count, base = parse.tail(data, state, settings, head, previous, steps, endings)
    end = state[parse.KNOWN] + 1
    at = state[parse.BITS]
    literals, distances, block = literals.copy(), distances.copy(), block.copy()
    for done in range(count + 1):
        _match_endings(endings, done, literals, distances, block, at, end, base, settings, work, wanted, out)
        if done < count:
            step = steps[done]
            if step[parse.LENGTH] != 0:
                blocks.add_match(literals, distances, block, step[parse.LENGTH], step[parse.VALUE])
            else:
                blocks.add_literal(literals, block, step[parse.VALUE])
            at = parse.flush_if_full(
                literals, distances, block, at, step[parse.END], step[parse.STEP_BASE], settings, work
            )
    if settings[parse.GREEDY] != 0 and block[blocks.SYMBOLS] + 1 >= settings[parse.SYMBOL_LIMIT]:
        _last_literal_fills_block(endings, literals, distances, block, at, end, base, settings, work, wanted, out)
    else:
        _literal_endings(endings, literals, distances, block, at, end, base, work, wanted, out)


@inner
def _match_endings(endings, done, literals, distances, block, at, end, base, settings, work, wanted, out):  # type: ignore[no-untyped-def]
    """Lengths for the bytes that end in a match after ``done`` steps. Matches of one pair of symbols cost the same."""
    cached_key = np.zeros(blocks.DISTANCES, np.int64)
    cached_bits = np.zeros(blocks.DISTANCES, np.int64)
    for byte in range(wanted[0], wanted[1]):
        ending = endings[byte]
        length = ending[parse.LENGTH]
        if length == 0 or ending[parse.AFTER] != done:
            continue
        code = blocks.distance_symbol(ending[parse.VALUE])
        key = (LENGTH_SYMBOL[length] << 10) | (ending[parse.PENDING] << 1) | 1
        if cached_key[code] != key:
            lits, dists, blk, bits = literals.copy(), distances.copy(), block.copy(), at
            if ending[parse.PENDING] != 0:
                blocks.add_literal(lits, blk, ending[parse.PENDING] - 1)
                bits = parse.flush_if_full(
                    lits, dists, blk, bits, end - length, ending[parse.ENDING_BASE], settings, work
                )
            emitted_at = end - length if settings[parse.GREEDY] != 0 else end - length + 1
            match_base = parse.window_base(ending[parse.ENDING_BASE], emitted_at, end, settings)
            blocks.add_match(lits, dists, blk, length, ending[parse.VALUE])
            bits = parse.flush_if_full(lits, dists, blk, bits, end, match_base, settings, work)
            dynamic = blocks.dynamic_bits(lits, dists, work)
            cached_bits[code] = blocks.close_block(bits, dynamic, blk, end, blk[blocks.START] >= base)
            cached_key[code] = key
        out[byte] = cached_bits[code]


@inner
def _literal_endings(endings, literals, distances, block, at, end, base, work, wanted, out):  # type: ignore[no-untyped-def]
    """Lengths for the bytes that end in a literal, in a block that they do not fill.

    The distance code is the same for all. The literal code is built anew for every byte that occurred before; bytes
    that did not and lie between the same two symbols that did have the same code but for their place.
    """
    lengths = np.zeros(blocks.LITERALS, np.int64)
    scratch = np.zeros(blocks.BIT_LENGTHS, np.int64)
    distance_lengths = np.zeros(blocks.DISTANCES, np.int64)
    distance_runs = np.zeros(blocks.BIT_LENGTHS, np.int64)
    runs = np.zeros(blocks.BIT_LENGTHS, np.int64)
    last_runs = np.zeros(blocks.BIT_LENGTHS, np.int64)  # no code has no lengths
    largest = blocks.huffman_lengths(distances, distance_lengths, work)
    distance_bits = blocks.weighted(distances, distance_lengths, largest)
    blocks.count_runs(distance_lengths, largest, distance_runs)
    storable = block[blocks.START] >= base
    new_byte = np.int64(-1)  # the unused byte that ``lengths`` has a code for, if any
    symbol_bits = cost = np.int64(0)
    for byte in range(wanted[0], wanted[1]):
        if endings[byte, parse.LENGTH] != 0:
            if literals[byte] != 0:
                new_byte = np.int64(-1)
            continue
        unused = literals[byte] == 0
        if unused and new_byte >= 0:
            lengths[byte] = lengths[new_byte]
            lengths[new_byte] = 0
        else:
            literals[byte] += 1
            largest = blocks.huffman_lengths(literals, lengths, work)
            symbol_bits = blocks.weighted(literals, lengths, largest) + distance_bits
            literals[byte] -= 1
        new_byte = np.int64(byte) if unused else np.int64(-1)
        for n in range(runs.size):
            runs[n] = distance_runs[n]
        blocks.count_runs(lengths, largest, runs)
        changed = False
        for n in range(runs.size):
            changed |= runs[n] != last_runs[n]
            last_runs[n] = runs[n]
        if changed:
            cost = blocks.lengths_cost(runs, scratch, work)
        block[blocks.FIXED_BITS] += blocks.FIXED_LENGTH[byte]
        out[byte] = blocks.close_block(at, symbol_bits + cost, block, end, storable)
        block[blocks.FIXED_BITS] -= blocks.FIXED_LENGTH[byte]


@inner
def _last_literal_fills_block(endings, literals, distances, block, at, end, base, settings, work, wanted, out):  # type: ignore[no-untyped-def]
    """As :func:`_literal_endings` where the greedy parse closes a full block and adds an empty one."""
    for byte in range(wanted[0], wanted[1]):
        if endings[byte, parse.LENGTH] != 0:
            continue
        lits, dists, blk = literals.copy(), distances.copy(), block.copy()
        blocks.add_literal(lits, blk, byte)
        bits = parse.flush_if_full(lits, dists, blk, at, end, base, settings, work)
        dynamic = blocks.dynamic_bits(lits, dists, work)
        out[byte] = blocks.close_block(bits, dynamic, blk, end, blk[blocks.START] >= base)
