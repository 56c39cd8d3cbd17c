"""Texts to vectors by a language model that sentence-transformers runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.config import Positive, Section
from gnnscale.etl.text.model_place import find_model
from gnnscale.schema import TEXT_ENCODERS, ConfigError


class SentenceOptions(Section):
    """Of a language model.

    Args:
        model: a folder that every executor sees, or ``package://<package>/<path>``.
        dims: dimensions that are kept, the first ones; ``auto`` keeps all.
        batch_size: texts that the model reads at once.
    """

    model: str
    dims: Literal["auto"] | Positive = "auto"
    batch_size: Positive = 64


@TEXT_ENCODERS.register("sentence_transformers")
@dataclass(frozen=True)
class SentenceEncoder:
    """A sentence-transformers model, read once in each process that uses it.

    Args:
        model: a folder, or ``package://<package>/<path>`` of an installed package that carries one.
        length: dimensions that are kept, the first ones; None keeps all.
        batch_size: texts that the model reads at once.
    """

    model: str
    length: int | None = None
    batch_size: int = 64

    Options: ClassVar[type[Section]] = SentenceOptions

    @classmethod
    def build(cls, options: SentenceOptions) -> Self:
        """The encoder of some options; the model is read when it is first used."""
        return cls(options.model, None if options.dims == "auto" else options.dims, options.batch_size)

    @cached_property
    def dims(self) -> int:
        """Length of a vector.

        Raises:
            ConfigError: as :meth:`encode`, or the model gives fewer dimensions than are asked for.
        """
        own = int(load_model(self.model).get_embedding_dimension())
        if self.length is not None and self.length > own:
            raise ConfigError(f"graph.text.dims is {self.length}, and {self.model} gives {own}")
        return self.length or own

    def encode(self, texts: pa.Array) -> NDArray[np.float32]:
        """Vectors of length 1, ``[texts, dims]``; zeros where a text is null or blank.

        Raises:
            ConfigError: the model is not there, or sentence-transformers is not installed.
        """
        # A model takes milliseconds a text: those that come again are read once.
        coded = pc.dictionary_encode(texts.cast(pa.string()))
        words = coded.dictionary.to_pylist()
        spoken = [i for i, text in enumerate(words) if text and not text.isspace()]
        distinct = np.zeros((len(words) + 1, self.dims), np.float32)
        if spoken:
            distinct[spoken] = load_model(self.model).encode(
                [words[i] for i in spoken],
                batch_size=self.batch_size,
                truncate_dim=self.length,
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return distinct[pc.fill_null(coded.indices, len(words)).to_numpy(zero_copy_only=False)]


@lru_cache(maxsize=1)
def load_model(location: str) -> Any:
    """The model of a folder or package; a second call in the same process costs nothing.

    Raises:
        ConfigError: the model is not there or not readable, or sentence-transformers is not installed.
    """
    folder = find_model(location, folder=True)
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise ConfigError(
            "graph.text.encoder: sentence_transformers is not installed; install it with: pip install gnnscale[text]"
        ) from None
    try:
        return SentenceTransformer(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"graph.text.model: {folder} is no sentence-transformers model: {error}") from None
