"""What every encoder of texts is."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.config import Section


class TextVectors(Protocol):
    """What gives texts their vectors; pickled, it travels to every executor."""

    @property
    def dims(self) -> int:
        """Length of a vector."""

    def encode(self, texts: pa.Array) -> NDArray[np.float32]:
        """Vectors of length 1, ``[texts, dims]``; zeros where a text is null or says nothing."""


class TextEncoder(TextVectors, Protocol):
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
