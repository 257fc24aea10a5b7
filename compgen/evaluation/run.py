"""``compgen.evaluate``: data in, numbers out, what was found kept on the disk until all is done."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from compgen import registry
from compgen.archive.format import DEFAULT_BLOCK_BYTES
from compgen.datasets.documents import Origin
from compgen.errors import BadInputError, UsageError
from compgen.evaluation import codecs, windows
from compgen.evaluation import corpus as disk
from compgen.evaluation.corpus import Corpus, Partial, Sizes, Store, Symbols
from compgen.evaluation.results import Evaluation, Row, Sums, summarise
from compgen.evaluation.scorers import ByteScorer, Scorer
from compgen.evaluation.scoring import Scoring, plain_bits
from compgen.evaluation.windows import Geometry
from compgen.interfaces import Compressor, IntArray, Predictor, Progress, adding


def evaluate(
    model: str | Predictor | Compressor,
    data: str | Path | Origin | Corpus | Iterable[str | Path | Origin],
    *,
    protocol: str = "full",
    block_size: int | None = None,
    stride: int | None = None,
    batch_size: int = 4,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    field: str | None = None,
    domain_field: str | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    work: Path | str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """How many bits a model needs for a text: cross entropy in sliding windows, as bits per byte and per character.

    - ``model``: a predictor or its spec. ``hf:`` models are scored by tokens, all others by bytes; a codec's name means
      the codec as a predictor. A :class:`~compgen.interfaces.Compressor` (``compgen.compressor("gzip")``) is measured
      by the size of what it writes.
    - ``data``: files and folders, see :mod:`compgen.datasets.documents`; ``NAME=PATH`` names a domain.
    - ``protocol``: ``full`` (every token scored once), ``opencompass`` or ``document``; see :mod:`.windows`.
    - ``block_size``, ``stride``: of the windows, in tokens; 1900 and 512 unless the spec or the model's limit says
      otherwise (for ``document`` the stride is the block). Predictors over bytes have a memory of their own, and such
      windows under ``opencompass`` only.
    - ``batch_size``: windows that are read together. It does not change the numbers beyond rounding.
    - ``block_bytes``: predictors over bytes begin anew after so many under ``full``, as archives do.
    - ``field``, ``domain_field``: where JSON lines and tables have the text, and the name of its domain.
    - ``resamples``, ``confidence``, ``seed``: of the bootstrap over documents.
    - ``work``: a folder for the symbols and what is done so far, which stays; by default one in the user's cache, which
      is removed at the end. A run that was interrupted goes on where it was.

    Parallel inside ``compgen.jobs``. Raises :class:`~compgen.errors.BadInputError` for data that cannot be scored.

    >>> import compgen, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "rose.txt"
    >>> _ = path.write_text("a rose is a rose is a rose " * 20)
    >>> result = compgen.evaluate("order2", path)
    >>> result.total.bytes, result.total.bits == 540 * result.bpb, result.bpb < 1
    (540, True, True)
    """
    began = time.perf_counter()
    _check(protocol, batch_size, resamples, confidence)
    model = registry.predictor(model) if isinstance(model, str) else model
    corpus = data if isinstance(data, Corpus) else survey(data, field, domain_field, progress)
    if isinstance(model, Compressor):
        found = codecs.sizes(model, corpus, protocol, progress)
        facts: dict[str, Any] = {"kind": "size", "unit": "bytes", "start_token": None, "notes": codecs.notes(protocol)}
    else:
        scorer = _scorer(model, protocol, block_size, stride, block_bytes)
        facts = {"kind": scorer.unit, **scorer.facts()}
        found = _scored(scorer, corpus, batch_size, Path(work) if work is not None else None, progress)
    rows, total, average = summarise(found, resamples, confidence, seed)
    return Evaluation(
        model=model.spec,
        kind=facts.pop("kind"),
        protocol=protocol,
        geometry={key: value for key, value in facts.items() if key != "notes"},
        rows=rows,
        total=total,
        average=average,
        data_sha256=corpus.sha256,
        weights_sha256="" if isinstance(model, Compressor) else model.weights_sha256,
        numerics=model.library if isinstance(model, Compressor) else model.numerics,
        confidence=confidence,
        resamples=resamples,
        notes=(*facts["notes"], *_notes(total)),
        seconds=time.perf_counter() - began,
    )


def survey(
    data: str | Path | Origin | Iterable[str | Path | Origin],
    field: str | None = None,
    domain_field: str | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Data that are counted, to evaluate several models on."""
    names = [data] if isinstance(data, str | Path | Origin) else data
    return Corpus.survey(names, progress, field=field, domain_field=domain_field)


def _check(protocol: str, batch_size: int, resamples: int, confidence: float) -> None:
    if protocol not in windows.PROTOCOLS:
        raise UsageError(registry.unknown_name("protocol", protocol, list(windows.PROTOCOLS)))
    if batch_size < 1:
        raise UsageError(f"the batch size must be at least 1 window, not {batch_size}")
    if resamples < 0:
        raise UsageError(f"resamples must not be negative, not {resamples}")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must be between 0 and 1, not {confidence}")


def _scorer(
    predictor: Predictor, protocol: str, block_size: int | None, stride: int | None, block_bytes: int
) -> Scorer:
    if predictor.name == "hf":
        from compgen.evaluation.language_models import token_scorer
        from compgen.predictors.huggingface import HuggingFace

        if isinstance(predictor, HuggingFace):
            return token_scorer(predictor, protocol, block_size, stride)
    geometry = Geometry(
        windows.BLOCK_SIZE if block_size is None else block_size, windows.STRIDE if stride is None else stride
    )
    return ByteScorer(predictor, protocol, geometry, block_bytes)


def _scored(
    scorer: Scorer, corpus: Corpus, batch_size: int, work: Path | None, progress: Progress | None
) -> list[Sums]:
    """The sums of every domain, from what was done before and what is done now."""
    if corpus.not_text is not None and scorer.unit == "tokens" and scorer.protocol != "full":
        raise BadInputError(f"{corpus.not_text}; or use the protocol full, which takes any bytes")
    base = disk.default_work() if work is None else work
    symbols_key = disk.digest("symbols 1", corpus.sha256, scorer.key)
    store = Store(base / f"symbols-{symbols_key}", corpus, scorer, progress)
    plans = {domain: _plan(scorer, domain, store[domain]) for domain in corpus.domains}
    done = adding(progress, sum(int((plan[:, 2] - plan[:, 1]).sum()) for plan in plans.values()))
    key = disk.digest("windows 1", symbols_key, scorer.model_key, scorer.protocol, scorer.geometry)
    partials = [base / f"{key}-{i}.jsonl" for i in range(len(plans))]
    found = []
    for (domain, plan), path in zip(plans.items(), partials, strict=True):
        scoring = Scoring(scorer, store[domain], plan, Partial(path))
        scoring.finish(batch_size, done)
        found.append(_sums(domain, corpus.domains[domain], store[domain], scoring))
    if work is None:
        for path in partials:
            path.unlink(missing_ok=True)
        shutil.rmtree(store.folder, ignore_errors=True)
    return found


def _plan(scorer: Scorer, domain: str, symbols: Symbols) -> IntArray:
    plan = scorer.windows(symbols.offsets)
    if not len(plan) and scorer.protocol == "opencompass":
        raise BadInputError(
            f"{domain} has {int(symbols.offsets[-1]):,} {scorer.unit}, fewer than one window of "
            f"{scorer.geometry.block_size + 1:,}, so opencompass would score nothing; give a smaller block size, or "
            "use the protocol full"
        )
    if not len(plan) and not len(symbols.plain):
        raise BadInputError(f"the tokenizer makes no tokens of {domain}, so there is nothing to score")
    return plan


def _sums(domain: str, sizes: Sizes, symbols: Symbols, scoring: Scoring) -> Sums:
    plain = plain_bits(symbols)
    nothing = (sizes.bytes > 0) & (np.diff(symbols.offsets) == 0) & (np.diff(symbols.plain_offsets) == 0)
    counts = scoring.counts() | {
        "plain_bytes": len(symbols.plain),
        "plain_bits": math.fsum(plain),
        "tokenless_documents": int(nothing.sum()),
    }
    nats = scoring.nats + plain * math.log(2)
    return Sums(domain, nats, sizes.bytes, sizes.characters, sizes.words, counts=counts)


def _notes(total: Row) -> Iterator[str]:
    if total.empty_documents:
        yield f"{total.empty_documents:,} of {total.documents:,} documents are empty"
    if total.tokenless_documents:
        yield f"{total.tokenless_documents:,} documents are not empty but have no tokens, so they seem to cost nothing"
    if total.characters is None:
        yield "some of the text is not UTF-8, so there are no bits per character"
    if total.special_tokens:
        yield (
            f"{total.special_tokens:,} of the scored tokens are special tokens, such as those that the tokenizer puts "
            f"around documents; they cost {total.special_nats / math.log(2):,.1f} bits"
        )
    if total.plain_bytes:
        cost = f"{total.plain_bits:,.0f} bits, coded by order2"
        yield f"{total.plain_bytes:,} bytes are no text for the tokenizer; they cost {cost}"
