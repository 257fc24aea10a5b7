"""The tree of contexts behind ``order0`` ... ``order6``, as compiled loops over arrays of integers.

``nodes``, int32 ``(capacity, 4)``: a node is a context followed by a symbol, and so the context one longer; row 0 is
the empty context. Columns: the symbol, how often it was counted, the node of the first symbol seen after this context,
the node of the next symbol seen after the same context as this one. -1: none.

``state``, int32 ``(2 + depth + 1,)``: nodes in use; the order of the longest current context; the nodes of the current
contexts of order 0 (always 0), 1, ... depth.

All arithmetic is on int64 and stays under 2**56, whatever the data; see ``order.py`` for the bounds.
"""

from __future__ import annotations

import numpy as np

from compgen.coding._kernel import END, OFFSET, POSITION, WIDTH, follow, target_of
from compgen.jit import inner, kernel

SYMBOL, COUNT, CHILD, SIBLING = 0, 1, 2, 3
USED, ORDER, CONTEXTS = 0, 1, 2

#: Distributions of one order are in units of 2**-31, weights of the order below in units of 2**-24, discounts of 2**-6.
UNIT_BITS, WEIGHT_BITS, DISCOUNT_BITS = 31, 24, 6
#: Added to every symbol's frequency at the end: 2**-23.
FLOOR = 256
#: A count above this halves all counts of its context.
COUNT_LIMIT = 255
#: Counts of this and more share a discount.
DISCOUNTS = 4
#: The model starts afresh rather than use more nodes than this (64 MiB).
MAX_NODES = 2**22


@kernel
def frequencies(nodes, state, discounts, out):  # type: ignore[no-untyped-def]
    """Write the frequencies of the 256 symbols to ``out``, int64 ``(256,)``; returns their sum."""
    for symbol in range(256):
        out[symbol] = 1 << (UNIT_BITS - 8)
    for order in range(state[ORDER] + 1):
        first = nodes[state[CONTEXTS + order], CHILD]
        if first < 0:
            continue
        alone = 1 if nodes[first, SIBLING] < 0 else 0
        counted = 0
        escape = 0
        node = first
        while node >= 0:
            counted += nodes[node, COUNT]
            escape += discounts[order, alone, min(nodes[node, COUNT], DISCOUNTS) - 1]
            node = nodes[node, SIBLING]
        counted <<= DISCOUNT_BITS
        weight = (escape << WEIGHT_BITS) // counted
        for symbol in range(256):
            out[symbol] = (out[symbol] * weight) >> WEIGHT_BITS
        node = first
        while node >= 0:
            count = int(nodes[node, COUNT])  # int64 from here on
            credit = (count << DISCOUNT_BITS) - discounts[order, alone, min(count, DISCOUNTS) - 1]
            out[nodes[node, SYMBOL]] += (credit << UNIT_BITS) // counted
            node = nodes[node, SIBLING]
    total = 0
    for symbol in range(256):
        out[symbol] += FLOOR
        total += out[symbol]
    return total


@inner
def _count(nodes, context, node):  # type: ignore[no-untyped-def]
    """Count ``node`` once more; keep the counts of its context small enough to follow changing data."""
    nodes[node, COUNT] += 1
    if nodes[node, COUNT] > COUNT_LIMIT:
        node = nodes[context, CHILD]
        while node >= 0:
            nodes[node, COUNT] = (nodes[node, COUNT] + 1) >> 1
            node = nodes[node, SIBLING]


@inner
def _push(nodes, state, depth, symbol):  # type: ignore[no-untyped-def]
    """Learn one symbol and move the contexts on. ``nodes`` has room for ``depth + 1`` more."""
    counting = True
    longest = state[ORDER]
    for order in range(longest, -1, -1):
        context = state[CONTEXTS + order]
        node = nodes[context, CHILD]
        while node >= 0 and nodes[node, SYMBOL] != symbol:
            node = nodes[node, SIBLING]
        if node < 0:
            node = state[USED]
            state[USED] += 1
            nodes[node, SYMBOL] = symbol
            nodes[node, COUNT] = 1
            nodes[node, CHILD] = -1
            nodes[node, SIBLING] = nodes[context, CHILD]
            nodes[context, CHILD] = node
        elif counting:
            # Shorter contexts count a symbol only when the longer ones had not seen it: they are asked only then.
            _count(nodes, context, node)
            counting = False
        if order < depth:
            state[CONTEXTS + order + 1] = node  # going down in order, so nothing still needed is overwritten
    state[ORDER] = min(longest + 1, depth)


@kernel
def make_room(nodes, state, depth):  # type: ignore[no-untyped-def]
    """Is there room for one more symbol? Starts afresh at MAX_NODES."""
    if state[USED] + depth + 1 > MAX_NODES:
        state[USED] = 1
        state[ORDER] = 0
        nodes[0, CHILD] = -1
    return state[USED] + depth + 1 <= len(nodes)


@kernel
def learn(nodes, state, depth, symbols):  # type: ignore[no-untyped-def]
    """Learn symbols, uint8 ``(n,)``, as far as there is room for new nodes; returns how many were learnt."""
    for position in range(len(symbols)):
        if not make_room(nodes, state, depth):
            return position
        _push(nodes, state, depth, symbols[position])
    return len(symbols)


@kernel
def score(nodes, state, depth, discounts, symbols, out):  # type: ignore[no-untyped-def]
    """As :func:`learn`, and write each symbol's place to ``out``, int64 ``(n, 3)``.

    Its place is the sum of the frequencies before it, its frequency, and the sum of all.
    """
    table = np.empty(256, dtype=np.int64)
    for position in range(len(symbols)):
        if not make_room(nodes, state, depth):
            return position
        out[position, 2] = frequencies(nodes, state, discounts, table)
        out[position, 1] = table[symbols[position]]
        start = 0
        for symbol in range(symbols[position]):
            start += table[symbol]
        out[position, 0] = start
        _push(nodes, state, depth, symbols[position])
    return len(symbols)


@kernel
def decode(nodes, state, depth, discounts, coder, code, out):  # type: ignore[no-untyped-def]
    """As :func:`learn` with the symbols that a decoder finds, written to ``out``, uint8 ``(n,)``.

    ``coder`` and ``code`` are the ``states`` and ``data`` of a ``DecoderStates`` of one stream.
    """
    table = np.empty(256, dtype=np.int64)
    for position in range(len(out)):
        if not make_room(nodes, state, depth):
            return position
        total = frequencies(nodes, state, discounts, table)
        offset, width, place = coder[0, OFFSET], coder[0, WIDTH], coder[0, POSITION]
        unit = width // total
        target = target_of(offset, unit, total)
        symbol, start = 0, 0
        while start + table[symbol] <= target:
            start += table[symbol]
            symbol += 1
        offset, width, place = follow(offset, width, place, coder[0, END], code, unit, start, table[symbol], total)
        coder[0, OFFSET], coder[0, WIDTH], coder[0, POSITION] = offset, width, place
        out[position] = symbol
        _push(nodes, state, depth, np.uint8(symbol))
    return len(out)


@kernel
def learn_all(nodes, state, depth, symbols, start):  # type: ignore[no-untyped-def]
    """:func:`learn` from ``start`` on, without ever starting afresh; returns where there is no more room."""
    for position in range(start, len(symbols)):
        if state[USED] + depth + 1 > len(nodes):
            return position
        _push(nodes, state, depth, symbols[position])
    return len(symbols)


@inner
def _slot(keys, node, symbol):  # type: ignore[no-untyped-def]
    """Where the symbol after a context is in a table of open addresses (0: free), or would be."""
    mask = keys.size - 1
    key = node * 256 + symbol + 1
    slot = ((key * 0x9E3779B97F4A7C1) >> 24) & mask
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot, key


@kernel
def freeze(nodes, used, discounts, keys, values, escape, credit):  # type: ignore[no-untyped-def]
    """The tree as tables: of each context what it leaves to the shorter one, of each node its share before that.

    ``keys`` int64 and ``values`` int32 ``(a power of 2 above 2 * used,)``, zeros before, get the nodes by context and
    symbol; ``escape`` (ones before) and ``credit`` are float64 ``(used,)``.
    """
    order = np.zeros(used, np.int8)
    unit = 1.0 / (1 << DISCOUNT_BITS)
    for context in range(used):  # before the nodes after it, which were made later
        first = nodes[context, CHILD]
        if first < 0:
            continue
        row = discounts[order[context], 1 if nodes[first, SIBLING] < 0 else 0]
        counted, left = 0, 0
        node = first
        while node >= 0:
            counted += nodes[node, COUNT]
            left += row[min(nodes[node, COUNT], DISCOUNTS) - 1]
            node = nodes[node, SIBLING]
        escape[context] = left * unit / counted
        node = first
        while node >= 0:
            order[node] = order[context] + 1
            count = nodes[node, COUNT]
            credit[node] = (count - row[min(count, DISCOUNTS) - 1] * unit) / counted
            slot, key = _slot(keys, np.int64(context), np.int64(nodes[node, SYMBOL]))
            keys[slot], values[slot] = key, node
            node = nodes[node, SIBLING]


@kernel
def score_frozen(keys, values, escape, credit, depth, symbols, contexts, order, out):  # type: ignore[no-untyped-def]
    """Write P(symbol) of each symbol, uint8 ``(n,)``, to ``out``, float64 ``(n,)``, from the tables of :func:`freeze`.

    ``contexts`` int64 ``(depth + 1,)`` are the current contexts of order 0 (always 0) to ``order``; both are lost.
    """
    for position in range(len(symbols)):
        symbol = np.int64(symbols[position])
        probability = 1 / 256
        longest, below = np.int64(0), np.int64(0)
        known = True
        for k in range(order + 1):
            context = contexts[k]
            probability *= escape[context]
            node = np.int64(0)
            if known:  # what follows a context follows all shorter ones
                slot, key = _slot(keys, context, symbol)
                known = keys[slot] == key
                if known:
                    node = np.int64(values[slot])
                    probability += credit[node]
                    longest = np.int64(k + 1)
            if k > 0:
                contexts[k] = below
            below = node
        if order < depth:
            contexts[order + 1] = below
        order = min(longest, depth)
        out[position] = probability
