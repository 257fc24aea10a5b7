"""``compgen correlate``: the published numbers to their digits, joins, intervals, and a figure that can be read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compgen
from compgen import cli
from compgen.errors import BadInputError, UsageError
from compgen.evaluation import correlation, published

#: Of Huang et al. 2024: Pearson's correlation, RMSE and models.
PUBLISHED = [("-0.935", "0.019", 19), ("-0.937", "0.040", 28), ("-0.953", "0.031", 19), ("-0.931", "0.031", 19)]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli._run([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


# --- what was published ---


def test_the_published_correlations_come_out() -> None:
    assert [(f"{c.pearson:.3f}", f"{c.rmse:.3f}", len(c.models)) for c in published()] == PUBLISHED
    assert [(c.x, c.y) for c in published()][1] == ("bpc_python", "coding")
    mathematics = published()[2].models
    assert {"deepseek-math-7b", "llemma-7b", "llemma-34b"} <= set(mathematics)
    assert not any("qwen" in model for model in mathematics)


def test_one_command_prints_them(call: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = call("correlate")
    assert code == 0
    rows = [re.findall(r"-?\d+\.\d{3}| \d{2} ", line) for line in out.splitlines()[1:]]
    assert [(row[1], row[-1], int(row[0])) for row in rows] == PUBLISHED
    _, out, _ = call("correlate", "--json")
    assert [(f"{row['pearson']:.3f}", f"{row['rmse']:.3f}", row["n"]) for row in json.loads(out)] == PUBLISHED


def test_a_shipped_table_can_be_asked(call: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = call(
        *("correlate", "huang2024", "-x", "bpc_arxiv_math", "-y", "math", "--where", "qwen=0", "--percent", "--json")
    )
    (found,) = json.loads(out)
    assert (code, f"{found['pearson']:.3f}", found["n"]) == (0, "-0.953", 19)
    _, out, _ = call("correlate", "huang2024", "-x", "bpc_python", "-y", "coding", "--without", "falcon-7b", "--json")
    assert json.loads(out)[0]["n"] == 27
    assert "falcon-7b" not in json.loads(out)[0]["models"]


def test_the_other_table_agrees_with_itself_and_with_the_first() -> None:
    other = correlation.read_table("opencompass")
    mean = correlation.column(other, "commoncrawl,python,arxiv_math")
    for model, average in correlation.column(other, "average").items():
        assert mean[model] == pytest.approx(average, abs=1e-4)
    first = correlation.column(correlation.read_table("huang2024"), "bpc_python")
    second = correlation.column(other, "python")
    shared = {model: value for model, value in second.items() if model.removesuffix("-hf") in first}
    assert len(shared) == 4
    for model, value in shared.items():
        assert value == pytest.approx(first[model.removesuffix("-hf")], abs=6e-4)
    joined = compgen.correlate(second, correlation.column(correlation.read_table("huang2024"), "coding"))
    assert len(joined.models) == 4
    assert "qwen1.5-32b-hf" in joined.unmatched


# --- numbers ---


@settings(max_examples=50, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(st.floats(0.1, 2), st.floats(0, 100)),
        min_size=4,
        max_size=30,
        unique_by=(lambda p: p[0], lambda p: p[1]),
    )
)
def test_against_their_definitions(pairs: list[tuple[float, float]]) -> None:
    x, y = np.array(pairs).T
    if np.ptp(x) < 1e-3 or np.ptp(y) < 1e-3:
        return
    found = compgen.correlate({f"m{i}": v for i, v in enumerate(x)}, {f"m{i}": v for i, v in enumerate(y)})
    dx, dy = x - x.mean(), y - y.mean()
    assert found.pearson == pytest.approx((dx @ dy) / np.sqrt((dx @ dx) * (dy @ dy)), abs=1e-9)
    ranks = [np.argsort(np.argsort(v)) for v in (x, y)]
    n = len(x)
    assert found.spearman == pytest.approx(1 - 6 * ((ranks[0] - ranks[1]) ** 2).sum() / (n * (n * n - 1)), abs=1e-9)
    residuals = dy - (dx @ dy) / (dx @ dx) * dx
    assert found.rmse == pytest.approx(np.sqrt((residuals @ residuals) / n), rel=1e-6, abs=1e-9)
    for value, interval in ((found.pearson, found.pearson_interval), (found.spearman, found.spearman_interval)):
        assert interval is not None
        assert -1 <= interval[0] <= value <= interval[1] <= 1


def test_intervals_cover_as_often_as_they_say() -> None:
    from scipy import stats

    random, hits = np.random.default_rng(0), np.zeros(2)
    rank_truth = 6 / np.pi * np.arcsin(0.8 / 2)  # Spearman's of a normal pair with Pearson's 0.8
    for _ in range(400):
        x, y = random.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 30).T
        named = [{str(i): value for i, value in enumerate(values)} for values in (x, y)]
        found = compgen.correlate(*named, confidence=0.9)
        assert found.pearson_interval == pytest.approx(tuple(stats.pearsonr(x, y).confidence_interval(0.9)))
        for i, (interval, truth) in enumerate(((found.pearson_interval, 0.8), (found.spearman_interval, rank_truth))):
            assert interval is not None
            hits[i] += interval[0] <= truth <= interval[1]
    assert (abs(hits / 400 - 0.9) < 0.05).all()


def test_few_models_have_no_interval() -> None:
    found = compgen.correlate({"a": 1, "b": 2, "c": 3}, {"a": 6, "b": 4, "c": 1})
    assert found.pearson_interval is None
    assert found.spearman == -1


def test_names_are_matched() -> None:
    x = {"hf:models/Llama-2-7b-hf,dtype=bfloat16": 0.5, "cm": 0.9, "hf:mistral-7b": 0.6, "hf:other": 1.0}
    found = compgen.correlate(x, {"llama-2-7b": 50, "mistral-7b": 57, "cm": 1})
    assert found.models == ("llama-2-7b", "cm", "mistral-7b")
    assert found.unmatched == ("hf:other",)


def test_what_cannot_be_correlated_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"2 models have both loss and score, .* without a partner: c"):
        compgen.correlate({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}, x_name="loss", y_name="score")
    with pytest.raises(BadInputError, match="all models have the same y"):
        compgen.correlate({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 1, "c": 1})
    with pytest.raises(BadInputError, match="may be a/m or b/m"):
        compgen.correlate({"m": 1}, {"a/m": 1, "b/m": 2})
    with pytest.raises(BadInputError, match="several models have the name m"):
        compgen.correlate({"hf:m": 1, "m": 2}, {"m": 2})
    rows = correlation.read_table("huang2024")
    with pytest.raises(BadInputError, match=r"no column 'maths'; there are group, .* math, qwen"):
        correlation.column(rows, "maths")
    (tmp_path / "t.csv").write_text("model,a\nx,1\nx,2\n")
    with pytest.raises(BadInputError, match="'x' comes twice"):
        correlation.column(correlation.read_table(tmp_path / "t.csv"), "a")
    for text, message in (
        ("name,a\nx,1\n", "no column 'model'"),
        ("model,a\n", "no rows"),
        ("model,a\nx\n", "row 1 has not as many fields"),
        ('{"a": 1}', "not what compgen evaluate --json writes"),
        ("[]", "no evaluations"),
    ):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(BadInputError, match=message):
            correlation.read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("model,a\nx,one\n")
    with pytest.raises(BadInputError, match="x: 'one' is not a number"):
        correlation.column(correlation.read_table(tmp_path / "t.csv"), "a")
    with pytest.raises(BadInputError, match=r"cannot read none\.csv.*huang2024"):
        correlation.read_table("none.csv")


# --- from evaluations to a figure ---


def test_results_are_joined_with_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., tuple[int, str, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, words in (("a", "one two three "), ("b", "four five two ")):
        Path(f"{name}.txt").write_text(words * 40)
    models = ["order0", "order1", "order2", "order3"]
    predictors = [argument for model in models for argument in ("--predictor", model)]
    code, out, err = call("evaluate", *predictors, "--compressor", "gzip", "--data", "a.txt", "b.txt", "-o", "r.json")
    assert (code, err) == (0, "")
    assert re.search(r"^gzip \(size\) +a +\d\.\d{4}", out, re.M)
    assert re.search(r"^ +average of domains +\d\.\d{4}", out, re.M)
    assert "full: 2 documents, 1,120 characters, 1,120 bytes, 240 words" in out
    results = json.loads(Path("r.json").read_text())
    assert [result["model"] for result in results] == [*models, "gzip"]
    Path("scores.csv").write_text("# made up\nmodel,accuracy\norder0,10\norder1,30\nORDER2,35\nmine,50\n")
    options = ("--scores", "scores.csv", "-y", "accuracy", "--percent", "--rename", "order3=mine", "--json")
    code, out, err = call("correlate", "r.json", "-x", "bpb_average", *options)
    (found,) = json.loads(out)
    assert (code, found["n"], found["unmatched"]) == (0, 4, ["gzip (size)"])
    assert found["xs"] == [result["average"]["bpb"] for result in results[:4]]
    assert found["ys"] == [0.1, 0.3, 0.35, 0.5]
    assert found["pearson"] < 0
    code, out, _ = call("correlate", "r.json", "-x", "bpc_a", *options[:-1])
    assert "without scores and left out: gzip (size)" in out
    assert call("correlate", "r.json")[0] == 2
    assert "name the column" in call("correlate", "r.json")[2]
    assert call("correlate", "-x", "a")[0] == 2


def test_the_command_says_what_it_wants(tmp_path: Path, call: Callable[..., tuple[int, str, str]]) -> None:
    assert call("evaluate", "--data", "a.txt")[:2] == (2, "")
    assert "--predictor SPEC or --compressor SPEC" in call("evaluate", "--data", "a.txt")[2]
    assert "--data PATH" in call("evaluate", "--predictor", "cm")[2]
    code, _, err = call("evaluate", "--predictor", "cm", "--data", tmp_path / "none.txt")
    assert (code, err.count("\n")) == (1, 1)
    assert "none.txt: no such file" in err


def test_no_label_hides_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    from compgen.evaluation import scatter

    seen: list[list[Any]] = []
    write, label = scatter._write, scatter._label
    monkeypatch.setattr(scatter, "_label", lambda *a: (seen.append([]), label(*a)))
    monkeypatch.setattr(
        scatter,
        "_write",
        lambda axes, name, point, box, scale: (seen[-1].append((point, box)), write(axes, name, point, box, scale)),
    )
    scatter.draw(published(), tmp_path / "four.png")
    assert [len(labels) for labels in seen] == [19, 28, 19, 19]
    for labels in seen:
        for i, (_, box) in enumerate(labels):
            for j, (point, other) in enumerate(labels):
                if i != j:
                    assert (np.minimum(box[2:], other[2:]) <= np.maximum(box[:2], other[:2])).any()
                    assert ((point < box[:2]) | (point > box[2:])).any()
    assert (tmp_path / "four.png").read_bytes()[:4] == b"\x89PNG"


def test_figures_are_written_as_asked(tmp_path: Path, call: Callable[..., tuple[int, str, str]]) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    assert call("correlate", "--plot", tmp_path / "f.svg")[0] == 0
    first = (tmp_path / "f.svg").read_bytes()
    assert b"<svg" in first
    call("correlate", "--plot", tmp_path / "f.svg")
    assert (tmp_path / "f.svg").read_bytes() == first
    code, _, err = call("correlate", "--plot", tmp_path / "f.jpg")
    assert (code, "written as .png, .svg, .pdf" in err) == (2, True)
    with pytest.raises(UsageError, match="confidence"):
        published(1.5)
