"""Evaluating models by compression: bits per byte and per character, and what they say about benchmark scores.

Read ``windows.py`` first, which is the protocols; ``corpus.py`` turns data into symbols on disk, ``scorers.py`` and
``language_models.py`` score them, ``results.py`` adds up, and ``run.py`` ties them together. ``correlation.py`` and
``scatter.py`` are on the results of many models.
"""

from compgen.evaluation.correlation import Correlation as Correlation
from compgen.evaluation.correlation import correlate as correlate
from compgen.evaluation.correlation import published as published
from compgen.evaluation.correlation import read_table as read_table
from compgen.evaluation.results import Evaluation as Evaluation
from compgen.evaluation.results import Row as Row
from compgen.evaluation.run import evaluate as evaluate
from compgen.evaluation.run import survey as survey
