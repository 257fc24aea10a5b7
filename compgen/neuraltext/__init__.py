"""Text as tokens made by compression (Lester et al. 2024, *Training LLMs over Neurally Compressed Text*), losslessly.

Start with ``windows.py`` (what Equal-Info Windows are here, and why every one of them decodes), then ``coder.py`` (many
documents in step with M1) and ``encoders.py`` (all ways to make tokens, in one form). ``corpus.py`` prepares shards,
``learning.py`` trains M2 over them, ``analysis.py`` asks what there is to learn; ``huggingface.py`` is a tokenizer.
"""

from compgen.neuraltext.corpus import Shards as Shards
from compgen.neuraltext.corpus import prepare as prepare
from compgen.neuraltext.encoders import Encoder as Encoder
from compgen.neuraltext.encoders import make as make
from compgen.neuraltext.windows import Windows as Windows

__all__ = ["Encoder", "Shards", "Windows", "make", "prepare"]
