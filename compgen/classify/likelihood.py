"""One model a class, decision by code length (Frank, Chui, Witten 2000; Teahan, Harper 2003; Bratko et al. 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from compgen import registry
from compgen.bridge import CompressorPredictor
from compgen.classify._texts import classes_of, texts_of
from compgen.errors import UsageError
from compgen.interfaces import Compressor, FloatArray, Predictor, Primed

#: Between the texts that a model reads, and before each that it scores.
_BETWEEN = b"\n"
#: Weights of the model of all classes that "auto" chooses from.
BACKGROUNDS = (0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8)
#: The models of "auto": a short context to know classes by their words' parts, a long one for words and phrases.
PREDICTORS = ("order2", "order6")
#: What a model that has to read its context again for each text gets of a class, unless told.
_SHORT_CONTEXT_BYTES = 1024


class LikelihoodClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The class whose model codes a text in the fewest bits, given how common the class is.

    One model learns the texts of each class, and one, the background, those of all. A symbol that the class gives the
    probability p and the background q costs -log2((1 - b) p + b q) bits, where b is ``background``: so nothing costs a
    class much more than anyone, and classes with few texts are not at a loss. The class itself costs -log2(prior) bits.
    The symbols of a text are far from independent evidence, so the posterior is proportional to

        2 ** -(bits / temperature)

    which changes no decision. Of several predictors, the code lengths are averaged. ``"auto"`` chooses b by the
    accuracy in a cross-validation within the training data (then by log-loss), and the temperature by its log-loss.

    :param predictor: a spec such as ``order4`` or ``cm``, an object, a list of these, or ``"auto"``: ``order2`` and
        ``order6``, chosen by cross-validation on training data. order0 to order6 and cm are read once for all texts.
        ``transformer`` and ``hf:`` models read, before each text, ``context_bytes`` of a class (conditional code
        length, without a prompt); a compressor such as ``ppmd`` or ``gzip`` gives C(class + text) - C(class), with all
        of the class each time and no background.
    :param adaptive: let models learn while they score a text; None: only where they cannot be frozen.
    :param background: b, from 0 to below 1, or ``"auto"``: chosen for models that can be frozen, 0 for others.
    :param prior: ``"empirical"``, ``"uniform"``, or probabilities in the order of ``classes_``.
    :param temperature: above 0, or ``"auto"``: chosen for models that can be frozen, else 8 bits a byte of a text.
    :param cv: parts of the cross-validation of "auto".
    :param context_bytes: at most so much of each class is learnt, as whole texts spread over the training data.
    :param n_jobs: workers of joblib; threads, unless a backend is set.

    Fitted: ``classes_``, ``predictor_``, ``background_``, ``temperature_``, ``class_prior_``.

    >>> texts = ["the cat sat on the mat", "a cat and a dog", "le chat est sur le tapis", "un chat et un chien"]
    >>> model = LikelihoodClassifier(background=0.1, temperature=8.0).fit(texts, ["en", "en", "fr", "fr"])
    >>> model.predict(["the dog", "le chien"]).tolist()
    ['en', 'fr']
    """

    def __init__(
        self,
        predictor: str | Predictor | Compressor | Sequence[str | Predictor | Compressor] = "auto",
        *,
        adaptive: bool | None = None,
        background: float | str = "auto",
        prior: str | Sequence[float] = "empirical",
        temperature: float | str = "auto",
        cv: int = 3,
        context_bytes: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.predictor = predictor
        self.adaptive = adaptive
        self.background = background
        self.prior = prior
        self.temperature = temperature
        self.cv = cv
        self.context_bytes = context_bytes
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags

    def fit(self, X: Any, y: Any) -> LikelihoodClassifier:
        """Learn the texts X, or rows of numbers, with labels y ``(n,)``."""
        texts = texts_of(self, X, fitting=True)
        labels = classes_of(self, texts, y)
        self._check()
        self._texts, self._labels = texts, labels
        self.class_prior_ = self._prior(np.bincount(labels))
        self._choose(texts, labels)
        self._models = self._learnt()
        return self

    def _learnt(self) -> list[_Models]:
        found = []
        for model in self._predictors():
            adaptive = not model.can_freeze if self.adaptive is None else self.adaptive
            found.append(self._models_of(model, adaptive, self._texts, self._labels))
        return found

    def _predictors(self) -> list[Predictor]:
        given = self.predictor
        if isinstance(given, str) and given == "auto":
            given = PREDICTORS
        several: Any = given if isinstance(given, list | tuple) else [given]
        return [registry.predictor(one) for one in several]

    def _models_of(
        self, model: Predictor, adaptive: bool, texts: list[bytes], labels: npt.NDArray[np.int64]
    ) -> _Models:
        keeps = type(model).primed is not Predictor.primed or isinstance(model, CompressorPredictor)
        most = _SHORT_CONTEXT_BYTES if self.context_bytes is None and not keeps else self.context_bytes
        return _Models(model, adaptive, texts, labels, len(self.classes_), most, self.n_jobs)

    def _check(self) -> None:
        b, t = self.background, self.temperature
        if b != "auto" and (isinstance(b, str) or not 0 <= b < 1):
            raise ValueError(f"background must be from 0 to below 1, or 'auto', not {b!r}")
        if t != "auto" and (isinstance(t, str) or not 0 < t < np.inf):
            raise ValueError(f"temperature must be above 0, or 'auto', not {t!r}")
        if self.cv < 2:
            raise ValueError(f"cv must be at least 2, not {self.cv}")
        try:
            models = self._predictors()
        except UsageError as error:
            raise ValueError(str(error)) from None
        if not models:
            raise ValueError("predictor is an empty list; give at least one")
        for model in models:
            self._check_model(model)

    def _check_model(self, model: Predictor) -> None:
        b = self.background
        if model.alphabet_size != 256:
            raise ValueError(f"{model.spec} does not predict bytes")
        if self.adaptive is False and not model.can_freeze:
            raise ValueError(f"{model.name} learns from all that it reads; adaptive=False is for order0 to order6")
        if isinstance(model, CompressorPredictor) and b not in ("auto", 0):
            raise ValueError(f"{model.name} is a compressor, whose code lengths cannot be mixed: background must be 0")

    def _prior(self, counts: npt.NDArray[np.int64]) -> FloatArray:
        if isinstance(self.prior, str):
            if self.prior not in ("empirical", "uniform"):
                raise ValueError(f"prior must be empirical, uniform or probabilities, not {self.prior!r}")
            weights = counts.astype(np.float64) if self.prior == "empirical" else np.ones(len(counts))
        else:
            weights = np.asarray(self.prior, np.float64)
            if weights.shape != counts.shape or not (weights > 0).all() or not np.isclose(weights.sum(), 1):
                raise ValueError(f"prior must be {len(counts)} probabilities above 0 that sum to 1, one a class")
        prior: FloatArray = weights / weights.sum()
        return prior

    def _choose(self, texts: list[bytes], labels: npt.NDArray[np.int64]) -> None:
        """Set what is "auto", by cross-validation where that can be."""
        models = self._predictors()
        self.predictor_ = [model.spec for model in models]
        self.background_ = 0.0 if self.background == "auto" else float(self.background)
        self.temperature_ = 0.0 if self.temperature == "auto" else float(self.temperature)
        parts = _folds(labels, self.cv)
        can_be = all(model.can_freeze for model in models) and self.adaptive is not True
        if "auto" not in (self.background, self.temperature) or not can_be or len(np.unique(labels[parts > 0])) < 2:
            self.temperature_ = self.temperature_ or 8.0 * float(np.mean([len(text) for text in texts]))
            return
        backgrounds = BACKGROUNDS if self.background == "auto" else (self.background_,)
        bits, used = self._held_out(models, texts, labels, parts, backgrounds)
        outcomes = []
        for background, costs in zip(backgrounds, bits - np.log2(self.class_prior_), strict=True):
            temperature = self.temperature_ or _best_temperature(costs, labels[used])
            right = int((costs.argmin(axis=1) == labels[used]).sum())
            outcomes.append((-right, _log_loss(costs, labels[used], temperature), background, temperature))
        _, _, self.background_, self.temperature_ = min(outcomes)

    def _held_out(
        self,
        predictors: list[Predictor],
        texts: list[bytes],
        labels: npt.NDArray[np.int64],
        parts: npt.NDArray[np.int64],
        backgrounds: Sequence[float],
    ) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Bits ``(backgrounds, n, classes)`` of the texts ``n`` that are in a part, by models that did not see them."""
        used, rows = [], []
        for part in range(1, parts.max() + 1):
            rest, held_out = np.flatnonzero(parts != part), np.flatnonzero(parts == part)
            models = [self._models_of(p, False, [texts[i] for i in rest], labels[rest]) for p in predictors]
            rows.append(_mean_bits(models, [texts[i] for i in held_out], backgrounds))
            used.append(held_out)
        return np.concatenate(rows, axis=1), np.concatenate(used)

    def code_lengths(self, X: Any) -> FloatArray:
        """Bits of each text by each class, background included: ``(n, classes)``."""
        check_is_fitted(self)
        texts = texts_of(self, X, fitting=False)
        if self._models is None:  # after unpickling
            self._models = self._learnt()
        bits: FloatArray = _mean_bits(self._models, texts, (self.background_,))[0]
        return bits

    def _costs(self, X: Any) -> FloatArray:
        """Bits of each text and class, the class's own included."""
        return self.code_lengths(X) - np.log2(self.class_prior_)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The class of each text: ``(n,)``."""
        best = self._costs(X).argmin(axis=1)
        labels: npt.NDArray[Any] = self.classes_[best]
        return labels

    def predict_log_proba(self, X: Any) -> FloatArray:
        """Natural logarithms of the posterior: ``(n, classes)``."""
        return _log_posterior(self._costs(X), self.temperature_)

    def predict_proba(self, X: Any) -> FloatArray:
        """The posterior, calibrated by the temperature: ``(n, classes)``."""
        return np.exp(self.predict_log_proba(X))

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {key: None if key == "_models" else value for key, value in state.items()}


class _Models:
    """What was learnt from each class, and from all."""

    def __init__(
        self,
        predictor: Predictor,
        adaptive: bool,
        texts: list[bytes],
        labels: npt.NDArray[np.int64],
        classes: int,
        most: int | None,
        n_jobs: int | None,
    ) -> None:
        self._n_jobs = n_jobs
        self._compressor = predictor.compressor if isinstance(predictor, CompressorPredictor) else None
        groups = [[text for text, label in zip(texts, labels, strict=True) if label == c] for c in range(classes)]
        self._contexts = [_context(group, most) for group in (*groups, texts)]
        self._models: list[Primed] = []
        if self._compressor is None:
            self._models = self._run(predictor.primed, [(context, adaptive) for context in self._contexts])

    def bits(self, texts: list[bytes], backgrounds: Sequence[float]) -> FloatArray:
        """Bits of each text by each class for each weight of the background: ``(backgrounds, texts, classes)``."""
        if self._compressor is not None:
            columns = [self._compressor.pair_lengths([c], texts)[0] - self._compressor.code_length(c)
                       for c in self._contexts[:-1]]  # fmt: skip
            return np.stack(columns, axis=1)[None].repeat(len(backgrounds), axis=0)
        general = self._models[-1].code_lengths(texts) if any(backgrounds) else None
        columns = self._run(_mixed_bits, [(model, texts, general, backgrounds) for model in self._models[:-1]])
        return np.stack(columns, axis=2)

    def _run(self, function: Any, arguments: Any) -> list[Any]:
        import joblib

        parallel = joblib.Parallel(n_jobs=self._n_jobs, prefer="threads")
        results: list[Any] = parallel(joblib.delayed(function)(*a) for a in arguments)
        return results


def _mean_bits(models: list[_Models], texts: list[bytes], backgrounds: Sequence[float]) -> FloatArray:
    """Bits by each class, the mean over predictors: ``(backgrounds, texts, classes)``."""
    mean: FloatArray = np.mean([some.bits(texts, backgrounds) for some in models], axis=0)
    return mean


def _mixed_bits(
    model: Primed, texts: list[bytes], general: list[FloatArray] | None, backgrounds: Sequence[float]
) -> FloatArray:
    """Bits of each text by one class: ``(backgrounds, texts)``."""
    own = model.code_lengths(texts)
    if general is None:
        return np.array([[bits.sum() for bits in own]])
    out = np.empty((len(backgrounds), len(texts)))
    for at, (ours, theirs) in enumerate(zip(own, general, strict=True)):
        p, q = np.exp2(-ours), np.exp2(-theirs)
        out[:, at] = [-np.log2((1 - b) * p + b * q).sum() for b in backgrounds]
    return out


def _context(texts: list[bytes], most: int | None) -> bytes:
    """Texts one after the other, an end after each; if they are too long, some of them, spread evenly."""
    if most is not None and (size := sum(len(text) + 1 for text in texts)) > most:
        step = max(1, round(size / most))
        texts = texts[::step]
        while len(texts) > 1 and sum(len(text) + 1 for text in texts) > most:
            texts = texts[:-1]
        texts = [text[: max(0, most - 1)] for text in texts]
    return _BETWEEN + b"".join(text + _BETWEEN for text in texts)


def _folds(labels: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """A part from 1 to ``count`` for each text, in turn within each class; 0 for a class's only text."""
    parts = np.zeros(len(labels), np.int64)
    for c in np.unique(labels):
        members = np.flatnonzero(labels == c)
        if len(members) > 1:
            parts[members] = 1 + np.arange(len(members)) % min(count, len(members))
    return parts


def _log_posterior(bits: FloatArray, temperature: float) -> FloatArray:
    """Natural logarithms of the posterior that costs in bits stand for."""
    scores = (bits.min(axis=1, keepdims=True) - bits) * (np.log(2) / temperature)
    result: FloatArray = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return result


def _log_loss(bits: FloatArray, labels: npt.NDArray[np.int64], temperature: float) -> float:
    """Mean log-loss in nats."""
    return float(-_log_posterior(bits, temperature)[np.arange(len(labels)), labels].mean())


def _best_temperature(bits: FloatArray, labels: npt.NDArray[np.int64]) -> float:
    """The temperature of least log-loss, on a grid of 4 steps a doubling from 1/4 to 2**14."""
    grid = 2.0 ** (np.arange(-8, 57) / 4)
    return float(min(grid, key=lambda temperature: _log_loss(bits, labels, temperature)))
