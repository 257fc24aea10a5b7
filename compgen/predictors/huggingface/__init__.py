"""``hf``: any causal language model of the Hugging Face library, as a coder of files and a predictor of bytes.

Read ``predictor.py`` first; ``coder.py`` codes blocks token by token, ``bytewise.py`` makes token models predict bytes.
Both stand on ``model.py`` (a model and its cache), ``vocabulary.py`` (tokens as bytes) and ``loading.py`` (files).
"""

from compgen.predictors.huggingface.predictor import HuggingFace as HuggingFace
