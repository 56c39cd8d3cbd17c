"""Texts to vectors: one small interface, and an encoder a file behind it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.config import TextSettings
from gnnscale.etl.text.hashed_encoder import HashedEncoder
from gnnscale.etl.text.sentence_encoder import SentenceEncoder

HASHED_DIMS = 128
"""Dimensions of hashed n-grams unless the configuration says otherwise."""


class TextEncoder(Protocol):
    """What turns texts into vectors; small enough to travel to every executor."""

    @property
    def dims(self) -> int:
        """Length of a vector."""

    def encode(self, texts: pa.Array) -> NDArray[np.float32]:
        """Vectors of length 1, ``[texts, dims]``; zeros where a text is null or says nothing."""


def open_encoder(settings: TextSettings) -> TextEncoder:
    """The encoder of a configuration; a model is read when it is first used.

    Raises:
        ConfigError: the model is not there, or the package that runs it is not installed.
    """
    if settings.encoder == "hashed":
        return HashedEncoder(HASHED_DIMS if settings.dims == "auto" else settings.dims)
    assert settings.model is not None
    return SentenceEncoder(settings.model, None if settings.dims == "auto" else settings.dims, settings.batch_size)


__all__ = ["HASHED_DIMS", "HashedEncoder", "SentenceEncoder", "TextEncoder", "open_encoder"]
