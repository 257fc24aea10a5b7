"""The tables and figures of *Language Modeling Is Compression* (Deletang et al. 2024), on any data, as library calls.

A module an experiment: ``rates`` (Table 1), ``scaling`` (Figure 2), ``in_context`` (Figures 4 and 6), ``tokenizers``
(Table 2), ``generation`` (Figures 3 and 5). Each has a function of its own name that returns rows, flat dictionaries
with units in the names; ``report.write`` makes a report of them. ``engine.Run`` keeps results, ``store`` is where.

>>> from compgen.benchmark.rates import rates
>>> [row] = rates("random:bytes=4096", ["gzip"], whole="none")
>>> row["model"], row["chunks"], row["status"]
('gzip', 2, 'ok')
"""
