"""Estimators: scikit-learn's own checks, published numbers, plain re-computations, and bad input."""

from __future__ import annotations

import gzip
import json
import pickle
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zstandard
from sklearn.base import clone
from sklearn.cluster import AgglomerativeClustering
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import compgen
from compgen.classify import (
    CompressionDistance,
    CompressionKNN,
    DictionaryClassifier,
    LikelihoodClassifier,
    anomaly_score,
    evaluation,
    models,
    pairwise_code_lengths,
    pairwise_distances,
)
from compgen.classify._texts import RowCode
from compgen.errors import CorruptDataError, UsageError

_SUBJECTS = {
    "weather": ["rain", "wind", "cloud", "storm", "sunny", "cold", "warm", "snow", "fog", "sky"],
    "food": ["bread", "soup", "cheese", "apple", "salt", "sugar", "plate", "cook", "taste", "lunch"],
    "music": ["song", "piano", "drum", "note", "choir", "tune", "violin", "opera", "dance", "band"],
}
CLASSIFIERS = [
    CompressionKNN(k=3),
    CompressionKNN("zstd:level=3", k=1, distance="cdm"),
    LikelihoodClassifier(),
    LikelihoodClassifier("cm:level=1"),
    DictionaryClassifier(),
    DictionaryClassifier("gzip"),
]


def corpus(count: int, seed: int) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Texts of three subjects that share their function words."""
    generator = np.random.default_rng(seed)
    texts, labels = [], []
    for n in range(count):
        label = list(_SUBJECTS)[n % 3]
        words = generator.choice(_SUBJECTS[label], 12)
        texts.append(" ".join(f"{generator.choice(['the', 'a', 'some'])} {word}" for word in words))
        labels.append(label)
    return texts, np.array(labels)


TRAIN, TRAIN_LABELS = corpus(60, 0)
TEST, TEST_LABELS = corpus(45, 1)


@parametrize_with_checks(
    [
        CompressionKNN(),
        LikelihoodClassifier(),
        DictionaryClassifier(),
        DictionaryClassifier("gzip"),
        CompressionDistance(),
    ]
)
def test_scikit_learn_s_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=str)
def test_all_learn_strings_bytes_arrays_and_series(estimator: Any) -> None:
    predicted = clone(estimator).fit(TRAIN, TRAIN_LABELS).predict(TEST)
    assert (predicted == TEST_LABELS).mean() > 0.9
    forms = [
        ([t.encode() for t in TRAIN], [t.encode() for t in TEST]),
        (np.array(TRAIN, dtype=object), np.array(TEST, dtype=object)),
        (np.array(TRAIN), np.array(TEST)),
        (pd.Series(TRAIN), pd.Series(TEST, index=range(100, 145))),
    ]
    for train, test in forms:
        assert (clone(estimator).fit(train, list(TRAIN_LABELS)).predict(test) == predicted).all()


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=str)
def test_clone_pickle_and_jobs_change_nothing(estimator: Any) -> None:
    fitted = clone(estimator).fit(TRAIN, TRAIN_LABELS)
    predicted = fitted.predict(TEST)
    again = pickle.loads(pickle.dumps(fitted))
    assert (again.predict(TEST) == predicted).all()
    if hasattr(fitted, "predict_proba"):
        shares = fitted.predict_proba(TEST)
        assert np.allclose(shares.sum(axis=1), 1)
        assert (fitted.classes_[shares.argmax(axis=1)] == predicted).mean() > 0.95  # ties of votes apart
        assert np.array_equal(again.predict_proba(TEST), shares)
    assert (clone(estimator).set_params(n_jobs=2).fit(TRAIN, TRAIN_LABELS).predict(TEST) == predicted).all()


def test_model_selection_on_strings() -> None:
    search = GridSearchCV(CompressionKNN(), {"k": [1, 3], "distance": ["ncd", "cdm"]}, cv=3, n_jobs=2)
    assert search.fit(TRAIN, TRAIN_LABELS).best_score_ > 0.9
    pipeline = make_pipeline(CompressionDistance(), LogisticRegression())
    assert cross_val_score(pipeline, TRAIN, TRAIN_LABELS, cv=3).min() > 0.9
    order = GridSearchCV(
        LikelihoodClassifier(background=0.2, temperature=8.0), {"predictor": ["order1", "order3"]}, cv=3
    )
    assert order.fit(TRAIN, TRAIN_LABELS).score(TEST, TEST_LABELS) > 0.9


# --- lengths and distances ---


def test_whole_bytes_are_the_sizes_of_gzip_s_files() -> None:
    sizes = [[8 * len(gzip.compress(f"{x} {y}".encode())) for y in TRAIN[:7]] for x in TEST[:5]]
    assert pairwise_code_lengths(TEST[:5], TRAIN[:7], bytes=True).tolist() == sizes
    stored = [[8 * len(compgen.compressor("zstd").compress(f"{x} {y}".encode())) for y in TRAIN[:3]] for x in TEST[:2]]
    assert pairwise_code_lengths(TEST[:2], TRAIN[:3], "zstd", bytes=True).tolist() == stored


def test_distances_are_their_formulas() -> None:
    x, y = TEST[:4], TRAIN[:6]
    codec = compgen.compressor("gzip")
    c = {
        t: codec.code_length(t.encode())
        for t in [*x, *y, *(f"{a} {b}" for a in x for b in y), *(f"{b} {a}" for a in x for b in y)]
    }
    formulas = {
        "ncd": lambda a, b: (c[f"{a} {b}"] - min(c[a], c[b])) / max(c[a], c[b]),
        "cdm": lambda a, b: c[f"{a} {b}"] / (c[a] + c[b]),
        "clm": lambda a, b: 1 - (c[a] + c[b] - c[f"{a} {b}"]) / c[f"{a} {b}"],
        "conditional": lambda a, b: (c[f"{b} {a}"] - c[b]) / c[a],
    }
    for name, formula in formulas.items():
        assert np.allclose(pairwise_distances(x, y, distance=name), [[formula(a, b) for b in y] for a in x]), name  # type: ignore[arg-type]
    own = pairwise_distances(x, y, distance=lambda pair, a, b: pair - a)
    assert np.allclose(own, [[c[f"{a} {b}"] - c[a] for b in y] for a in x])
    both = pairwise_distances(x, y, symmetric=True, distance="cdm")
    assert np.allclose(both, [[(c[f"{a} {b}"] + c[f"{b} {a}"]) / 2 / (c[a] + c[b]) for b in y] for a in x])


def test_a_symmetric_matrix_clusters() -> None:
    matrix = pairwise_distances(TRAIN, symmetric=True, n_jobs=2)
    assert (matrix == matrix.T).all()
    assert not np.diag(matrix).any()
    found = AgglomerativeClustering(3, metric="precomputed", linkage="average").fit_predict(matrix)
    assert len({(a, b) for a, b in zip(found, TRAIN_LABELS, strict=True)}) == 3


def test_the_matrix_comes_in_pieces_of_bounded_size() -> None:
    import sklearn

    knn = CompressionKNN(k=3).fit(TRAIN, TRAIN_LABELS)
    whole = knn.kneighbors(TEST)
    with sklearn.config_context(working_memory=0.01):  # 5 rows at once
        distances, indices = knn.kneighbors(TEST)
    assert np.array_equal(distances, whole[0])
    assert np.array_equal(indices, whole[1])


def test_progress_counts_pairs() -> None:
    told: list[tuple[int, int]] = []
    pairwise_code_lengths(TEST[:3], TRAIN[:4], progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (12, 12)


# --- neighbours ---


def test_neighbours_are_ordered_by_distance_and_index() -> None:
    texts = ["aaaa bbbb", "cccc dddd", "aaaa bbbb", "cccc dddd"]
    knn = CompressionKNN(k=2).fit(texts, ["one", "two", "two", "one"])
    distances, indices = knn.kneighbors(["aaaa bbbb"])
    assert indices.tolist() == [[0, 2]]
    assert distances[0, 0] == distances[0, 1]
    assert knn.predict(["aaaa bbbb", "cccc dddd"]).tolist() == ["one", "two"]  # the votes tie: the nearest decides
    assert knn.tie_fraction_ == 1.0
    assert knn.predict_proba(["aaaa bbbb"]).tolist() == [[0.5, 0.5]]
    assert np.isnan(CompressionKNN(k=2).fit(texts, [0, 1, 1, 0]).tie_fraction_)


def test_predictions_do_not_depend_on_the_company() -> None:
    knn = CompressionKNN(k=3).fit(TRAIN, TRAIN_LABELS)
    assert [knn.predict([text])[0] for text in TEST[:6]] == knn.predict(TEST[:6]).tolist()


# --- one model a class ---


def test_code_lengths_are_those_of_the_models() -> None:
    fitted = LikelihoodClassifier("order2", background=0.3, temperature=8.0, prior="uniform").fit(TRAIN, TRAIN_LABELS)
    order2 = compgen.predictor("order2")

    def learnt(texts: list[str]) -> bytes:
        return "".join(f"\n{text}" for text in texts).encode() + b"\n"

    own = order2.primed(learnt([t for t, y in zip(TRAIN, TRAIN_LABELS, strict=True) if y == "food"]), False)
    every = order2.primed(learnt(TRAIN), False)
    p, q = (np.exp2(-m.code_lengths([TEST[0].encode()])[0]) for m in (own, every))
    at = fitted.classes_.tolist().index("food")
    assert np.isclose(fitted.code_lengths(TEST[:1])[0, at], -np.log2(0.7 * p + 0.3 * q).sum())


def test_frozen_models_are_the_models_before_they_learn() -> None:
    for name in ("order0", "order3", "order6"):
        predictor, context = compgen.predictor(name), " ".join(TRAIN[:9]).encode()
        frozen = predictor.primed(context, learn=False).code_lengths([bytes([b]) for b in range(256)])
        live = predictor.session([context]).probabilities()[0]
        assert np.allclose(np.exp2(-np.concatenate(frozen)), live, rtol=1e-3, atol=1e-7)
        again = predictor.primed(context).code_lengths([TEST[0].encode()])[0]
        assert np.array_equal(again, predictor.code_lengths([TEST[0].encode()], [context])[0])


def test_frozen_probabilities_sum_to_one_after_any_text() -> None:
    frozen = compgen.predictor("order4").primed(" ".join(TRAIN).encode(), learn=False)
    for start in (b"", b"the rai", b"zzzz", b"\xff\x00"):
        last = [lengths[-1] for lengths in frozen.code_lengths([start + bytes([b]) for b in range(256)])]
        assert np.isclose(np.exp2(-np.array(last)).sum(), 1, atol=1e-6)


def test_priors_count_as_bits() -> None:
    texts, labels = ["ab ab ab", "ab ab ab", "cd cd"], ["x", "x", "y"]
    for prior, shares in (("uniform", [0.5, 0.5]), ([0.9, 0.1], [0.9, 0.1]), ("empirical", [2 / 3, 1 / 3])):
        fitted = LikelihoodClassifier("order0", background=0.999999, temperature=1.0, prior=prior).fit(texts, labels)
        assert np.allclose(fitted.predict_proba(["a"]), [shares], atol=1e-3)


def test_probabilities_are_calibrated_on_held_out_texts() -> None:
    generator = np.random.default_rng(5)
    texts = [
        " ".join(generator.choice(_SUBJECTS["food"][:5] if n % 2 else _SUBJECTS["food"][2:7], 3)) for n in range(240)
    ]
    labels = np.arange(240) % 2
    fitted = LikelihoodClassifier("order3").fit(texts[:120], labels[:120])
    logs = fitted.predict_log_proba(texts[120:])
    loss = -logs[np.arange(120), labels[120:]].mean()
    sharp = LikelihoodClassifier("order3", background=fitted.background_, temperature=1.0).fit(
        texts[:120], labels[:120]
    )
    raw = -sharp.predict_log_proba(texts[120:])[np.arange(120), labels[120:]].mean()
    assert loss < 0.69
    assert loss < raw + 0.02


def test_compressors_and_language_models_classify_too() -> None:
    few, labels = TRAIN[:12], TRAIN_LABELS[:12]
    for predictor, count in (("gzip", 9), ("transformer", 3)):
        fitted = LikelihoodClassifier(predictor, context_bytes=300).fit(few, labels)
        assert (fitted.predict(TEST[:count]) == TEST_LABELS[:count]).mean() > 0.6, predictor
    gzipped = LikelihoodClassifier("gzip").fit(few, labels).code_lengths(TEST[:1])[0]
    context = b"\n" + b"".join(t.encode() + b"\n" for t, y in zip(few, labels, strict=True) if y == "food")
    codec = compgen.compressor("gzip")
    assert gzipped[0] == codec.code_length(context + TEST[0].encode()) - codec.code_length(context)


# --- dictionaries ---


def test_dictionaries_are_averaged() -> None:
    fitted = DictionaryClassifier("gzip", dictionary_bytes=256).fit(TRAIN, TRAIN_LABELS)
    assert {len(group) for group in fitted.dictionaries_} != {1}
    text = TEST[0].encode()
    expected = []
    for group in fitted.dictionaries_:
        sizes = []
        for dictionary in group:
            encoder = zlib.compressobj(9, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, dictionary)
            sizes.append(8 * len(encoder.compress(text) + encoder.flush()))
        expected.append(np.mean(sizes))
    assert np.allclose(fitted.code_lengths([text]), [expected])
    whole = b"".join(d for group in fitted.dictionaries_ for d in group)
    assert sorted(whole.split(b"\n")[:-1]) == sorted(t.encode() for t in TRAIN)
    assert max(len(d) for group in fitted.dictionaries_ for d in group) <= 256


def test_zstd_s_own_dictionaries() -> None:
    texts, labels = corpus(600, 7)
    fitted = DictionaryClassifier(trained=True, dictionary_bytes=2048, level=3).fit(texts, labels)
    assert all(zstandard.ZstdCompressionDict(d).dict_id() for [d] in fitted.dictionaries_)
    assert fitted.score(TEST, TEST_LABELS) > 0.9


# --- anomalies ---


@pytest.mark.parametrize("options", [{}, {"distance": "ncd"}, {"model": "zstd", "distance": "conditional", "k": 2}])
def test_strange_texts_score_higher(options: Any) -> None:
    normal = [f"GET /page/{n}.html HTTP/1.1 status 200" for n in range(30)]
    ordinary, strange = (
        [f"GET /page/{n}.html HTTP/1.1 status 200" for n in range(40, 50)],
        ["x9Q!#zzk;DROP TABLE--", "\u2603" * 9],
    )
    scores = anomaly_score([*ordinary, *strange], normal, **options)
    assert scores[-2:].min() > scores[:-2].max()


# --- numbers ---


def test_rows_of_numbers_keep_likeness() -> None:
    rows = np.linspace(0, 1, 33)[:, None] * [[1.0, -5.0]]
    code = RowCode.of(rows)
    encoded = [np.frombuffer(row, np.uint8) for row in code.encode(rows)]
    differing = [int((encoded[0] != other).sum()) for other in encoded]
    assert differing == sorted(differing)
    assert differing[-1] == 64
    assert code.encode(rows[3:4]) == [code.encode(rows)[3]]


# --- bad input ---


@pytest.mark.parametrize("estimator", [CompressionKNN(k=1), LikelihoodClassifier(), DictionaryClassifier()], ids=str)
@pytest.mark.parametrize(
    ("X", "y", "error", "words"),
    [
        (["a", ""], [0, 1], ValueError, r"X\[1\] is empty"),
        (["a", None], [0, 1], TypeError, r"X\[1\] is None"),
        (["a", 3], [0, 1], TypeError, r"X\[1\] is of type int"),
        (["a", b"b"], [0, 1], TypeError, "mixes str and bytes"),
        (["a", "b"], [0, 0], ValueError, "one class only"),
        (["a", "b"], [0, 1, 1], ValueError, "inconsistent numbers of samples"),
        (["a", "b"], None, ValueError, "y is None"),
        (["a", "b"], [0.5, 1.7], ValueError, "continuous"),
        ("a text", [0, 1], ValueError, "a single text"),
        ([], [], ValueError, "minimum of 1"),
        (np.array([1.0, 2.0]), [0, 1], ValueError, "2D array"),
    ],
)
def test_bad_data_is_named(estimator: Any, X: Any, y: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        clone(estimator).fit(X, y)


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (CompressionKNN(k=61), "k=61 is more than"),
        (CompressionKNN(k=0), "at least 1"),
        (CompressionKNN(distance="euclid"), "distance must be one of"),
        (LikelihoodClassifier(background=1.0), "background"),
        (LikelihoodClassifier(temperature=0), "temperature"),
        (LikelihoodClassifier(prior=[0.5, 0.5]), "3 probabilities"),
        (LikelihoodClassifier(prior="none"), "prior"),
        (LikelihoodClassifier("cm", adaptive=False), "adaptive=False is for"),
        (LikelihoodClassifier("gzip", background=0.5), "background must be 0"),
        (LikelihoodClassifier("ordr4"), "did you mean"),
        (LikelihoodClassifier(cv=1), "cv must be"),
        (DictionaryClassifier("bz2"), "zstd or gzip"),
        (DictionaryClassifier("gzip", trained=True), "only zstd"),
        (DictionaryClassifier("gzip", dictionary_bytes=1 << 16), "32,506"),
        (DictionaryClassifier(level=23), "level"),
    ],
    ids=str,
)
def test_bad_parameters_are_named(estimator: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        estimator.fit(TRAIN, TRAIN_LABELS)


def test_numbers_and_texts_do_not_mix() -> None:
    fitted = CompressionKNN(k=1).fit(TRAIN, TRAIN_LABELS)
    with pytest.raises(ValueError, match="fitted to texts"):
        fitted.predict(np.zeros((2, 3)))
    rows = CompressionKNN(k=1).fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="given texts"):
        rows.predict(["a"])


def test_texts_beyond_the_window_are_warned_of_once_with_numbers() -> None:
    long = "".join(map(str, range(9000)))
    with pytest.warns(UserWarning, match=r"2 of 3 texts are longer than the 32,506 bytes .* 34,890") as caught:
        pairwise_distances([long, long[:33_000], "abc"])
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairwise_distances([long, "abc"], compressor="zstd:level=1")


# --- evaluation and model files ---


def test_evaluation_counts_what_it_says() -> None:
    test_labels = TEST_LABELS.copy()
    test_labels[:5] = "news"  # a class that training does not have
    result = evaluation.evaluate(CompressionKNN(k=1), (TRAIN_BYTES, TRAIN_LABELS), (TEST_BYTES, test_labels))
    predicted = CompressionKNN(k=1).fit(TRAIN, TRAIN_LABELS).predict(TEST)
    assert result.classes == ["food", "music", "news", "weather"]
    assert result.accuracy == (predicted == test_labels).mean()
    assert result.confusion.sum(axis=1).tolist() == [(test_labels == c).sum() for c in result.classes]
    assert result.confusion[:, 2].sum() == 0
    from sklearn.metrics import f1_score

    assert np.isclose(result.macro_f1, f1_score(test_labels, predicted, average="macro"))


def test_shots_are_drawn_by_seed() -> None:
    train, test = (TRAIN_BYTES, TRAIN_LABELS), ([text[:20] for text in TEST_BYTES], TEST_LABELS)
    one = evaluation.n_shot(lambda: CompressionKNN(k=1), train, test, 2, seeds=4)
    assert one == evaluation.n_shot(lambda: CompressionKNN(k=1), train, test, 2, seeds=4)
    assert len(set(one.accuracies)) > 1
    low, high = one.interval
    assert low < one.mean < high
    for bad in (0, 21):
        with pytest.raises(UsageError, match="shots"):
            evaluation.n_shot(lambda: CompressionKNN(k=1), train, test, bad)


def test_leakage_sees_through_case_and_space() -> None:
    train = ([b"To be  or not", b"that is"], np.array(["a", "b"]))
    test = ([b"new", b"to be or not\n", b"THAT is"], np.array(["a", "a", "a"]))
    assert evaluation.leakage(train, test) == [evaluation.Leak(1, 0, True), evaluation.Leak(2, 1, False)]


TRAIN_BYTES, TEST_BYTES = [t.encode() for t in TRAIN], [t.encode() for t in TEST]


@pytest.mark.parametrize("estimator", [CompressionKNN(k=3), LikelihoodClassifier(), DictionaryClassifier()], ids=str)
def test_model_files_give_the_same_classifier(estimator: Any, tmp_path: Path) -> None:
    fitted = clone(estimator).fit(TRAIN_BYTES, TRAIN_LABELS)
    path = tmp_path / "a.model"
    models.save(path, fitted, TRAIN_BYTES, TRAIN_LABELS.tolist())
    loaded = models.load(path)
    assert type(loaded) is type(fitted)
    assert (loaded.predict(TEST_BYTES) == fitted.predict(TEST_BYTES)).all()
    if hasattr(fitted, "predict_proba"):
        assert np.allclose(loaded.predict_proba(TEST_BYTES), fitted.predict_proba(TEST_BYTES))


@pytest.mark.parametrize(
    "change",
    [
        {"format": "compgen classifier 9"},
        {"classifier": "pickle"},
        {"lengths": [1]},
        {"labels": ["a"]},
        {"parameters": {"system": "ls"}},
        {"parameters": {"predictor": "cm:prime=/etc/passwd"}},
        {"parameters": {"predictor": "hf:anything"}},
        {"parameters": {"predictor": "mix(order2,transformer:x.safetensors)"}},
        {"parameters": {"background": "much"}},
    ],
    ids=str,
)
def test_hostile_model_files_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "a.model"
    fitted = LikelihoodClassifier("order1", background=0.1, temperature=1.0).fit(TRAIN_BYTES, TRAIN_LABELS)
    models.save(path, fitted, TRAIN_BYTES, TRAIN_LABELS.tolist())
    with zipfile.ZipFile(path) as archive:
        head, texts = json.loads(archive.read("model.json")), archive.read("texts")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.json", json.dumps({**head, **change}))
        archive.writestr("texts", texts)
    with pytest.raises(CorruptDataError):
        models.load(path)
    path.write_bytes(path.read_bytes()[:90])
    with pytest.raises(CorruptDataError):
        models.load(path)


# --- published numbers ---


@pytest.mark.slow
def test_r8_by_gzip_is_what_was_measured_before(real_data: Path) -> None:
    def load(name: str) -> tuple[list[str], np.ndarray[Any, Any]]:
        with gzip.open(real_data / f"classify/r8/{name}.jsonl.gz", "rt") as file:
            rows = [json.loads(line) for line in file]
        return [row["text"] for row in rows], np.array([row["label"] for row in rows])

    (train, labels), (test, truth) = load("train"), load("test")
    knn = CompressionKNN(k=5, bytes=True, n_jobs=2).fit(train, labels)
    _, indices = knn.kneighbors(test)
    assert abs((labels[indices[:, 0]] == truth).mean() - 0.9155) < 0.0005
    assert abs(knn.tie_fraction_ - 0.118) < 0.0005
