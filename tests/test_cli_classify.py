"""``compgen classify`` run for real: what it prints, what it writes, and what it says of bad input."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(sys.executable).with_name("compgen.exe" if sys.platform == "win32" else "compgen")
ROWS = [
    *(("en", text) for text in ("the cat sat on the mat", "a dog and a cat", "where is the dog of the house")),
    *(("fr", text) for text in ("le chat est sur le tapis", "un chien et un chat", "la maison, où est le chien")),
]


def run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [str(PROGRAM), "classify", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("label,text\n" + "".join(f'{label},"{text}"\n' for label, text in ROWS), "utf-8")
    Path("rows.tsv").write_text("Text\tClass\n" + "".join(f"{text}\t{label}\n" for label, text in ROWS), "utf-8")
    lines = "".join(json.dumps({"label": label, "text": text}) + "\n" for label, text in ROWS)
    Path("rows.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    for number, (label, text) in enumerate(ROWS):
        Path("tree", label).mkdir(parents=True, exist_ok=True)
        Path("tree", label, f"{number}.txt").write_text(text, "utf-8")
    return tmp_path


def test_a_model_is_the_same_from_every_kind_of_file(folder: Path) -> None:
    for number, data in enumerate(("rows.csv", "rows.tsv", "rows.jsonl.gz", "tree")):
        done = run("train", data, "--out", f"{number}.model", "--classifier", "knn", "--set", "k=1")
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"6 texts, 2 classes" in done.stdout
    assert len({Path(f"{number}.model").read_bytes() for number in range(4)}) == 1
    done = run("predict", "0.model", stdin="the dog\nle chien est là\n".encode())
    assert (done.returncode, done.stdout) == (0, b"en\nfr\n")
    rows = [json.loads(line) for line in run("predict", "0.model", "rows.csv", "--json").stdout.splitlines()]
    assert [row["label"] for row in rows] == [label for label, _ in ROWS]
    assert rows[0]["probabilities"] == {"en": 1.0, "fr": 0.0}


def test_evaluation_reports_confusion_and_leakage(folder: Path) -> None:
    done = run("evaluate", "rows.csv", "rows.tsv", "--classifier", "knn", "--set", "k=1", "--json")
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["accuracy"] == 1.0
    assert report["confusion"] == [[3, 0], [0, 3]]
    assert len(report["leakage"]) == 6
    text = run("evaluate", "rows.csv", "rows.csv", "--classifier", "dictionary").stdout.decode()
    assert "leakage: 6 test texts stand in the training data (0 with another label)" in text
    assert "true class" in text
    shots = json.loads(run("evaluate", "rows.csv", "rows.csv", "--shots", "2", "--seeds", "3", "--classifier", "knn",
                           "--set", "k=1", "--json").stdout)  # fmt: skip
    assert len(shots["accuracies"]) == 3
    assert shots["interval_95"][0] <= shots["mean"] <= shots["interval_95"][1]


@pytest.mark.parametrize(
    ("content", "arguments", "code", "words"),
    [
        (None, ["none.csv"], 1, "no such file"),
        ("", ["bad.csv"], 1, "has no texts"),
        ("label,text\nen\n", ["bad.csv"], 1, "line 2: 1 fields where the header has 2"),
        ("label,text\nen,\n", ["bad.csv"], 1, "line 2: the field text holds no text"),
        ("label,text\n,a\n", ["bad.csv"], 1, "holds no label"),
        ("a,b,c\n1,2,3\n", ["bad.csv"], 1, "no field text or content or document or sentence, but a, b, c"),
        ("label,text\nen,a\n", ["bad.csv"], 1, "one class only"),
        ("label,text\nen,a\n", ["bad.csv", "--text-field", "body"], 1, "no field 'body'"),
        ("text,x\nen,a\n", ["bad.csv"], 1, "no labels"),
        ("label,text\nen,a\nfr,b\n", ["bad.csv", "--set", "q=1"], 2, "means nothing for likelihood"),
        ("label,text\nen,a\nfr,b\n", ["bad.csv", "--compressor", "gzip"], 2, "has no compressor"),
        ("label,text\nen,a\nfr,b\n", ["bad.csv", "--predictor", "ordr3"], 1, "did you mean"),
    ],
)
def test_bad_input_is_one_line(content: str | None, arguments: list[str], code: int, words: str, folder: Path) -> None:
    if content is not None:
        Path("bad.csv").write_text(content)
    done = run("train", *arguments, "--out", "x.model")
    assert (done.returncode, done.stdout) == (code, b"")
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr.decode()
    assert not Path("x.model").exists()


def test_other_files_are_no_models(folder: Path) -> None:
    done = run("predict", "rows.csv", "rows.csv")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"no model of compgen classify" in done.stderr


@pytest.mark.parametrize("name", ["train", "predict", "evaluate"])
def test_every_help_has_an_example(name: str) -> None:
    text = run(name, "--help").stdout.decode()
    assert f"compgen classify {name} " in text.partition("Examples:")[2]
    assert all(len(line) <= 100 for line in text.splitlines())
