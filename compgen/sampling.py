"""The autoregressive core: a predictor continues contexts, one symbol after the other.

The same seed gives the same symbols on every machine, with every number of jobs, and whatever other streams are sampled
beside (for predictors whose probabilities do not depend on these things either, see ``Predictor.exact``):

- Random numbers are counted, not passed around: step t of stream i under seed s uses word t of the Philox-4x64 sequence
  with key (s, i) (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), whose raw words numpy keeps.
- Floats are touched only by ``compgen.numerics``, comparisons, stable sorts and sums from left to right.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from compgen import numerics, parallel, registry
from compgen.errors import BadInputError, CompgenError, UsageError
from compgen.interfaces import Compressor, Decoding, FloatArray, IntArray, Predictor, Progress, Symbols


def sample(
    predictor: Predictor | Compressor | str,
    context: Symbols,
    length: int,
    *,
    samples: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[bytes]:
    """Continue ``context`` by ``length`` bytes, ``samples`` times.

    ``predictor`` is a predictor over bytes, a compressor, or the spec of either. How symbols are chosen: see
    :class:`compgen.Decoding`. Sample i is the same whether or not others are drawn with it. For models over other
    alphabets there is :func:`continue_streams`.

    Raises :class:`~compgen.errors.UsageError` for parameters out of range and
    :class:`~compgen.errors.BadInputError` for a context that is not bytes.

    >>> sample("uniform", b"", 4, samples=2, seed=7)
    [b'\\xdfKkg', b'\\xe1^\\x84T']
    """
    model = registry.predictor(predictor)
    if model.alphabet_size != 256:
        raise UsageError(
            f"{model.spec} predicts {model.alphabet_size} symbols, not bytes; use compgen.sampling.continue_streams"
        )
    check_samples(samples)
    decoding = Decoding(temperature, top_k, top_p, greedy, seed)
    streams = continue_streams(model, [context] * samples, length, decoding, progress)
    return [stream.astype(np.uint8).tobytes() for stream in streams]


def continue_streams(
    predictor: Predictor,
    contexts: Sequence[Symbols],
    length: int,
    decoding: Decoding,
    progress: Progress | None = None,
    first_stream: int = 0,
) -> list[IntArray]:
    """Continue each context by ``length`` symbols; returns one int64 array of shape ``(length,)`` a context.

    The context at index i is stream number ``first_stream + i``, which with the seed fixes its random numbers. Where
    ``compgen.jobs`` sets several jobs and the predictor gains nothing from streams that go in step, each stream is a
    task of its own and ``progress`` counts streams; otherwise all share a session and ``progress`` counts symbols.
    """
    if length < 1:
        raise UsageError(f"length must be at least 1, not {length}")
    if len(contexts) == 0:
        raise UsageError("nothing to continue: give at least one context")
    if decoding.seed >= 2**64:
        raise UsageError(f"seed must be below 2**64, not {decoding.seed}")
    prepared: dict[int, Symbols] = {}  # by identity: samples of one context share its checked copy
    for context in contexts:
        if id(context) not in prepared:
            prepared[id(context)] = _checked(context, predictor.alphabet_size)
    checked = [prepared[id(context)] for context in contexts]
    if parallel.n_jobs() == 1 or len(checked) == 1 or predictor.batched:
        return list(_continue_in_step(predictor, checked, length, decoding, first_stream, progress))
    tasks = [(predictor, context, length, decoding, first_stream + i) for i, context in enumerate(checked)]
    return _run_tasks(tasks, progress)


def check_samples(samples: int) -> None:
    """Raise :class:`~compgen.errors.UsageError` unless there is at least one sample to draw."""
    if samples < 1:
        raise UsageError(f"samples must be at least 1, not {samples}")


def choose(probabilities: FloatArray, uniforms: FloatArray, decoding: Decoding) -> IntArray:
    """One symbol a row of ``probabilities`` ``(streams, alphabet)``, given a number in [0, 1) a row.

    Returns int64 ``(streams,)``. Order of operations: temperature, top-k, top-p over what is left, then the inverse of
    the cumulative distribution in order of the symbols. ``greedy`` takes the likeliest symbol, the lowest of several.
    """
    if decoding.greedy:
        likeliest: IntArray = np.argmax(probabilities, axis=-1).astype(np.int64)
        return likeliest
    weights = _truncated(_tempered(probabilities, decoding.temperature), probabilities, decoding)
    cumulative = np.cumsum(weights, axis=-1)
    total = cumulative[:, -1:]
    if not (np.all(total > 0) and np.all(np.isfinite(total))):
        raise CompgenError("the predictor's probabilities are not positive finite numbers; it cannot be sampled")
    # The first symbol whose cumulative weight passes the threshold. It has a weight above 0 because the threshold stays
    # under the total, where rounding could take it.
    threshold = np.minimum(uniforms[:, None] * total, np.nextafter(total, 0.0))
    chosen: IntArray = np.sum(cumulative <= threshold, axis=-1).astype(np.int64)
    return chosen


def uniforms(seed: int, stream: int, count: int) -> FloatArray:
    """The first ``count`` random numbers of a stream: float64 ``(count,)``, multiples of 2**-53 in [0, 1)."""
    raw = np.random.Philox(key=np.array([seed, stream], dtype=np.uint64)).random_raw(count)
    numbers: FloatArray = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return numbers


def _tempered(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Weights proportional to ``p ** (1/temperature)``, the largest of a row being 1."""
    if temperature == 1.0:
        return probabilities
    # Relative to the likeliest symbol, so that what underflows is at most 2**-1022 times as likely as that one.
    positive = np.maximum(probabilities, np.finfo(np.float64).tiny)
    bits = numerics.log2(positive)
    with np.errstate(over="ignore"):  # -inf is as good as any exponent below -1022
        exponents = (bits - np.max(bits, axis=-1, keepdims=True)) / temperature
    return np.where(probabilities > 0, numerics.exp2(exponents), 0.0)


def _truncated(weights: FloatArray, probabilities: FloatArray, decoding: Decoding) -> FloatArray:
    """``weights`` with 0 for what top-k and top-p leave out.

    Ranks are those of the untempered probabilities, as a high temperature can round unlike ones to one value; ties go
    in order of the symbol.
    """
    if decoding.top_k is None and decoding.top_p is None:
        return weights
    ranked = np.argsort(-probabilities, axis=-1, kind="stable")
    sorted_weights = np.take_along_axis(weights, ranked, axis=-1)
    if decoding.top_k is not None:
        sorted_weights[:, decoding.top_k :] = 0.0
    if decoding.top_p is not None:
        mass = np.cumsum(sorted_weights, axis=-1)
        reached = mass >= decoding.top_p * mass[:, -1:]
        sorted_weights[:, 1:][reached[:, :-1]] = 0.0  # the symbol that reaches p stays, those after it go
    kept = np.zeros_like(weights)
    np.put_along_axis(kept, ranked, sorted_weights, axis=-1)
    return kept


def _continue_in_step(
    predictor: Predictor,
    contexts: Sequence[Symbols],
    length: int,
    decoding: Decoding,
    first_stream: int,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> IntArray:
    """All streams in one session: int64 ``(streams, length)``."""
    draws = np.stack([uniforms(decoding.seed, first_stream + i, length) for i in range(len(contexts))])
    symbols = np.empty((len(contexts), length), dtype=np.int64)
    session = predictor.session(contexts)
    for step in range(length):
        if stop is not None and stop.is_set():
            break  # nobody waits for the result any more
        symbols[:, step] = choose(session.probabilities(), draws[:, step], decoding)
        if progress is not None:
            progress(step + 1, length)
        if step + 1 < length:
            session.push(symbols[:, step])
    return symbols


#: Runs of :func:`_run_tasks` that this process waits for. A task in the same process (a thread) looks up its run here
#: and ends early once the run is interrupted; in another process there is nothing to find, and the process is ended.
_interrupted: dict[int, threading.Event] = {}


def _run_tasks(
    tasks: Sequence[tuple[Predictor, Symbols, int, Decoding, int]], progress: Progress | None
) -> list[IntArray]:
    """One stream a task, on the jobs that are set."""
    stop = threading.Event()
    run_id = id(stop)
    _interrupted[run_id] = stop
    done = None if progress is None else lambda finished: progress(finished, len(tasks))
    try:
        return parallel.run(_continue_alone, [(*task, run_id) for task in tasks], done)
    except BaseException:
        stop.set()
        raise
    finally:
        del _interrupted[run_id]


def _continue_alone(
    predictor: Predictor, context: Symbols, length: int, decoding: Decoding, stream: int, run_id: int
) -> IntArray:
    stop = _interrupted.get(run_id)
    symbols: IntArray = _continue_in_step(predictor, [context], length, decoding, stream, None, stop)[0]
    return symbols


def _checked(context: Symbols, alphabet_size: int) -> Symbols:
    """The context as bytes, or as an int64 array for alphabets other than 256."""
    if isinstance(context, str):
        raise UsageError("a context is bytes or a sequence of symbols, not str; encode it first")
    if isinstance(context, bytes | bytearray):
        array = np.frombuffer(bytes(context), dtype=np.uint8).astype(np.int64)
    else:
        array = np.asarray(context) if len(context) else np.empty(0, dtype=np.int64)
        if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
            raise BadInputError(f"a context is a row of whole numbers, not {array.dtype} of shape {array.shape}")
        array = array.astype(np.int64)
    if array.size and not (array.min() >= 0 and array.max() < alphabet_size):
        wrong = int(array[(array < 0) | (array >= alphabet_size)][0])
        raise BadInputError(f"the context has the symbol {wrong}; the predictor knows 0 to {alphabet_size - 1}")
    return array.astype(np.uint8).tobytes() if alphabet_size == 256 else array
