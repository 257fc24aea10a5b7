"""Every table and figure of "Language Modeling Is Compression", at a size that fits a budget of time.

Run:  python scripts/reproduce_paper.py [--budget MINUTES] [--out DIR] [--jobs N] [--train SIZE]... [DATASET]...

Times each model on a few chunks, chooses how many chunks, sequences and pixels fit, and runs all experiments; more jobs
take less time than the budget, and not more data. Data sets that are not here are left out, with a line that says so.
What is done is kept: run again with a larger budget, only what is new is computed. Prints Table 1 as Markdown; the
folder gets all rows, report.md and report.html.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from compgen import datasets as loader
from compgen import parallel
from compgen.benchmark import report
from compgen.benchmark.engine import Run
from compgen.benchmark.everything import everything, fitting
from compgen.benchmark.rates import DATASETS
from compgen.benchmark.store import Store
from compgen.benchmark.tables import failures, tables
from compgen.benchmark.trained import Training, train
from compgen.errors import CompgenError


def present(names: list[str]) -> list[str]:
    """The data sets that can be had."""
    found = []
    for name in names:
        try:
            next(loader.load(name, limit_chunks=1).chunks())
        except CompgenError as error:
            print(f"left out: {error}", file=sys.stderr)
        else:
            found.append(name)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", metavar="DATASET", help=f"default: {' '.join(DATASETS)}")
    parser.add_argument("--budget", type=float, default=10.0, metavar="MINUTES")
    parser.add_argument("--out", type=Path, default=Path("reproduction"), metavar="DIR")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    parser.add_argument("--train", action="append", default=[], metavar="SIZE", help="train a model of this size first")
    parser.add_argument("--steps", type=int, default=2000, metavar="N", help="batches to train on")
    arguments = parser.parse_args()
    start = time.perf_counter()
    names = present(arguments.datasets or list(DATASETS))
    if not names:
        print("there is no data set here; set COMPGEN_DATA, or name files", file=sys.stderr)
        return 1
    report.prepare(arguments.out)
    trained: list[str] = []
    if arguments.train:
        training = Training(loader.load(names[0]), arguments.out / "models", steps=arguments.steps)
        trained = train(training, arguments.train)
    sizes = fitting(arguments.budget, names)
    print(f"sizes: {json.dumps(asdict(sizes))}", file=sys.stderr)
    run = Run(Store([arguments.out / "results"]))
    with parallel.jobs(arguments.jobs):
        rows = everything(names, sizes=sizes, trained=trained, run=run)
    report.write(arguments.out, rows, run.seconds)
    for table in tables(rows["rates"]):
        print(f"{table.title}\n\n{report.markdown_table(table)}\n\n{table.caption}\n")
    every = [row for some in rows.values() for row in some]
    for line in failures(every):
        print(f"failed: {line}", file=sys.stderr)
    result = {
        "benchmark": "reproduce_paper",
        "budget_minutes": arguments.budget,
        "minutes": round((time.perf_counter() - start) / 60, 2),
        **asdict(sizes),
        "rows": len(every),
        "failed": len(failures(every)),
        "computed": run.computed,
        "found": run.found,
        "jobs": arguments.jobs,
        "cores": os.cpu_count(),
    }
    print(json.dumps(result))
    return 1 if failures(every) else 0


if __name__ == "__main__":
    sys.exit(main())
