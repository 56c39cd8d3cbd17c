"""What every encoder of texts is."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.config import Section, TextSettings
from gnnscale.schema import TEXT_ENCODERS


class TextEncoder(Protocol):
    """What turns texts into vectors: a class of the registry :data:`gnnscale.schema.TEXT_ENCODERS`.

    Instances are pickled and travel to every executor, so they are small, and read a model when they first need it. A
    class that was defined in a notebook or script goes along with them; one of a module has to be importable there.

    Attributes:
        Options: what can be set of it, nothing where there are none; ``model``, ``dims`` and ``batch_size`` take their
            values from ``graph.text``, and all others from ``graph.text.options``.
    """

    Options: ClassVar[type[Section]]

    @classmethod
    def build(cls, options: Any) -> Self:
        """The encoder of some options."""

    @property
    def dims(self) -> int:
        """Length of a vector."""

    def encode(self, texts: pa.Array) -> NDArray[np.float32]:
        """Vectors of length 1, ``[texts, dims]``; zeros where a text is null or says nothing."""


def open_encoder(settings: TextSettings) -> TextEncoder:
    """The encoder of a configuration; a model is read when it is first used.

    Raises:
        ConfigError: there is no such encoder, or it does not have the options.
    """
    encoder: type[TextEncoder] = TEXT_ENCODERS.find(settings.encoder)
    return encoder.build(settings.options_of(encoder))
