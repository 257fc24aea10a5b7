"""Classification on labelled texts: accuracy, times, pairs a second, and the published table with an honest rule.

    python scripts/bench_classify.py DATA                  accuracy of every estimator on every set in DATA
    python scripts/bench_classify.py DATA --speed          gzip's kernel against gzip.compress, on pairs of DATA's r8
    python scripts/bench_classify.py DATA --published      the paper's rule (ties count as right) beside honest ones
    python scripts/bench_classify.py DATA --defaults       cross-validation of predictors, on training texts only

DATA has a folder a set, each with train.jsonl.gz and test.jsonl.gz (fields text and label). Times are CPU seconds of
one process, those of compared programs in turns. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from compgen import registry
from compgen.classify import CompressionKNN, DictionaryClassifier, LikelihoodClassifier
from compgen.classify.evaluation import leakage, wilson_interval
from compgen.classify.lengths import pieces
from compgen.classify.tables import read_table


def load(folder: Path) -> tuple[list[bytes], Any, list[bytes], Any]:
    """Training texts and labels, test texts and labels."""
    train, test = (read_table(str(folder / f"{name}.jsonl.gz")) for name in ("train", "test"))
    return train.texts, np.array(train.labelled()), test.texts, np.array(test.labelled())


def bag_of_words() -> Any:
    """What to beat: TF-IDF of words with logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=2000))


def accuracies(folder: Path, jobs: int) -> list[dict[str, Any]]:
    """Every estimator at its defaults, and the bag of words."""
    train, labels, test, truth = load(folder)
    leaks = len(leakage((train, labels), (test, truth)))
    rows = []
    for name, made in (
        ("LikelihoodClassifier()", LikelihoodClassifier(n_jobs=jobs)),
        ("DictionaryClassifier()", DictionaryClassifier(n_jobs=jobs)),
        ("CompressionKNN()", CompressionKNN(n_jobs=jobs)),
        ("TF-IDF, logistic regression", bag_of_words()),
    ):
        start = time.process_time()
        made.fit(train, labels)
        fitted = time.process_time()
        right = int((made.predict(test) == truth).sum())
        seconds = fitted - start, time.process_time() - fitted
        low, high = wilson_interval(right, len(test))
        rows.append(
            {
                "set": folder.name,
                "classifier": name,
                "accuracy": right / len(test),
                "interval_95": [low, high],
                "fit_cpu_seconds": seconds[0],
                "predict_cpu_seconds": seconds[1],
                "leaked_test_texts": leaks,
                "chosen": [str(getattr(made, key)) for key in ("predictor_", "background_") if hasattr(made, key)],
            }
        )
        print(f"{folder.name:16} {name:28} {right / len(test):.4f}  {seconds[0]:8.1f} {seconds[1]:8.1f} s", flush=True)
    return rows


#: What "auto" of LikelihoodClassifier could have been.
CANDIDATES = ("order2+order6", "order3+order6", "order2+order5", "order4", "order6")


def defaults(folder: Path, texts: int, jobs: int) -> list[dict[str, Any]]:
    """Cross-validated accuracy of candidates for the default predictors, on a sample of the training texts."""
    from sklearn.model_selection import StratifiedKFold

    train, labels = load(folder)[:2]
    order = np.random.default_rng(0).permutation(len(train))
    kept = np.isin(
        labels, [c for c, n in zip(*np.unique(labels[order[:texts]], return_counts=True), strict=True) if n >= 3]
    )
    sample = np.array([i for i in order[:texts] if kept[i]])
    rows = []
    for candidate in CANDIDATES:
        right, start = 0, time.process_time()
        for fitted, held_out in StratifiedKFold(3).split(sample, labels[sample]):
            made = LikelihoodClassifier(candidate.split("+"), n_jobs=jobs)
            made.fit([train[i] for i in sample[fitted]], labels[sample[fitted]])
            right += int((made.predict([train[i] for i in sample[held_out]]) == labels[sample[held_out]]).sum())
        rows.append({"set": folder.name, "predictor": candidate, "accuracy": right / len(sample), "texts": len(sample)})
        seconds = time.process_time() - start
        print(
            f"{folder.name:16} {candidate:16} {right / len(sample):.4f} of {len(sample)} {seconds:8.1f} s", flush=True
        )
    return rows


def speed(folder: Path, texts: int) -> dict[str, Any]:
    """CPU microseconds a pair: all tests with all training texts in exact bits, and gzip calls on samples of these.

    The kernel works in the pieces that :func:`compgen.classify.lengths.matrix` cuts, preparation included each time, so
    this is the whole matrix (or, with fewer tests, a part of it that bears more preparation a pair). After each piece
    gzip is called on another sample of its pairs. Ratios are of the sums.
    """
    train, _, test, _ = load(folder)
    codec = registry.compressor("gzip")
    firsts = [test[i] + b" " for i in np.linspace(0, len(test) - 1, min(texts, len(test))).astype(int)]
    codec.pair_lengths(firsts[:1], train[:2])  # compiled
    random = np.random.default_rng(0)
    seconds, pairs = np.zeros(3), np.zeros(3)
    for rows, columns in pieces(len(firsts), len(train)):
        xs, ys = firsts[rows], train[columns]
        chosen = random.integers((len(xs), len(ys)), size=(4000, 2)).tolist()
        sample = [(xs[i], ys[j]) for i, j in chosen]
        start = time.process_time()
        codec.pair_lengths(xs, ys)
        seconds[0] += time.process_time() - start
        start = time.process_time()
        for x, y in sample:
            gzip.compress(x + y)
        seconds[1] += time.process_time() - start
        start = time.process_time()
        for x, y in sample:
            gzip.compress(x)
            gzip.compress(y)
            gzip.compress(x + y)
        seconds[2] += time.process_time() - start
        pairs += len(xs) * len(ys), len(sample), len(sample)
    costs = 1e6 * seconds / pairs
    result: dict[str, Any] = {"first_texts": len(firsts), "second_texts": len(train), "kernel_pairs": int(pairs[0])}
    for name, value in zip(("kernel", "one gzip call", "three gzip calls"), costs.tolist(), strict=True):
        print(f"{name:18} {value:7.2f} us a pair, {value / costs[0]:.1f} x the kernel")
        result[name] = value
    return result


def published(folder: Path, jobs: int) -> dict[str, Any]:
    """Whole-byte gzip NCD: the paper's rule for k=2 beside rules that do not look at the label."""
    train, labels, test, truth = load(folder)
    knn = CompressionKNN(k=5, bytes=True, n_jobs=jobs).fit(train, labels)
    _, indices = knn.kneighbors(test)
    voters = labels[indices]
    either = (voters[:, :2] == truth[:, None]).any(axis=1).mean()
    random = (voters[:, :2] == truth[:, None]).mean()
    five = CompressionKNN(k=5, bytes=True, n_jobs=jobs).fit(train, labels).predict(test)
    row = {
        "set": folder.name,
        "paper_top2": float(either),
        "k1": float((voters[:, 0] == truth).mean()),
        "k2_random_tie": float(random),
        "k2_nearest_tie": float((voters[:, 0] == truth).mean()),
        "k5_nearest_tie": float((five == truth).mean()),
        "tied_nearest": knn.tie_fraction_,
    }
    print("  ".join(f"{key} {value if isinstance(value, str) else round(value, 4)}" for key, value in row.items()))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="*", help="only these")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--defaults", action="store_true")
    parser.add_argument("--texts", type=int, help="test texts for --speed (all), training texts for --defaults (1500)")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    folders = [path for path in sorted(options.data.iterdir()) if not options.sets or path.name in options.sets]
    if options.speed:
        result: Any = speed(options.data / "r8", options.texts or 1 << 30)
    elif options.published:
        result = [published(folder, options.jobs) for folder in folders]
    elif options.defaults:
        result = [row for folder in folders for row in defaults(folder, options.texts or 1500, options.jobs)]
    else:
        result = [row for folder in folders for row in accuracies(folder, options.jobs)]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
