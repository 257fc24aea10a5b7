"""Arithmetic coding: any frequencies, exact at every step, as short as the last bit allows.

:func:`quantise` makes probabilities integer frequencies; :class:`Encoder` and :class:`Decoder` code one stream,
:class:`BatchEncoder` and :class:`BatchDecoder` many in step. What bytes a message becomes never changes: the tests hold
golden codes.

>>> import numpy as np
>>> encoder = Encoder()
>>> encoder.encode_many(b"banana", np.bincount(list(b"banana"), minlength=256))
>>> code = encoder.finish()
>>> bytes(Decoder(code).decode_many(np.bincount(list(b"banana"), minlength=256), 6).astype(np.uint8)), len(code)
(b'banana', 1)
"""

from compgen.coding.arithmetic import Decoder as Decoder
from compgen.coding.arithmetic import Encoder as Encoder
from compgen.coding.batch import BatchDecoder as BatchDecoder
from compgen.coding.batch import BatchEncoder as BatchEncoder
from compgen.coding.quantise import quantise as quantise

__all__ = ["BatchDecoder", "BatchEncoder", "Decoder", "Encoder", "quantise"]
