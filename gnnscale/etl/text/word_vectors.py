"""Texts to vectors by the mean of their words' vectors: GloVe's, or any that a file or a package has."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gnnscale.config import Positive, Section
from gnnscale.etl.text.model_place import find_model
from gnnscale.schema import TEXT_ENCODERS, ConfigError

WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
"""Letters and digits; an apostrophe within a word belongs to it."""

COMPRESSED: Final[dict[str, Callable[..., Any]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


class WordVectorOptions(Section):
    """Of words with vectors.

    Args:
        model: file of text, a word and its numbers a line (``.gz``, ``.bz2``, ``.xz`` too; word2vec's first line with
            the two sizes is passed over); or a folder with one ``.npy`` of vectors and one ``.parquet`` whose first
            column of texts names their words. Either may be ``package://<package>/<path>``.
        dims: dimensions that are kept, the first ones; ``auto`` keeps all.
        smooth: how little frequent words say, after Arora et al. (2017): a word counts ``smooth / (smooth + p)``, where
            p is its share by Zipf's law of its place in the file, which goes by frequency; 0 counts all words the same.
    """

    model: str
    dims: Literal["auto"] | Positive = "auto"
    smooth: float = 1e-3


@TEXT_ENCODERS.register("word_vectors")
@dataclass(frozen=True)
class WordVectorEncoder:
    """The mean of the vectors of a text's words, scaled to length 1; words without one say nothing.

    Args:
        model: as in :class:`WordVectorOptions`.
        length: dimensions that are kept, the first ones; None keeps all.
        smooth: as in :class:`WordVectorOptions`.
    """

    model: str
    length: int | None = None
    smooth: float = 1e-3

    Options: ClassVar[type[Section]] = WordVectorOptions

    @classmethod
    def build(cls, options: WordVectorOptions) -> Self:
        """The encoder of some options; the words are read when they are first used."""
        return cls(options.model, None if options.dims == "auto" else options.dims, options.smooth)

    @cached_property
    def dims(self) -> int:
        """Length of a vector.

        Raises:
            ConfigError: as :meth:`encode`, or the words have fewer dimensions than are asked for.
        """
        own = read_word_vectors(self.model).vectors.shape[1]
        if self.length is not None and self.length > own:
            raise ConfigError(f"graph.text.dims is {self.length}, and {self.model} gives {own}")
        return self.length or own

    def encode(self, texts: pa.Array) -> NDArray[np.float32]:
        """Vectors of length 1, ``[texts, dims]``; zeros where a text is null or has no word that is known.

        Raises:
            ConfigError: the words are not there, or not readable.
        """
        known = read_word_vectors(self.model)
        weights = known.weights(self.smooth)
        # Texts that come again are looked at once.
        coded = pc.dictionary_encode(texts.cast(pa.string()))
        distinct = np.zeros((len(coded.dictionary) + 1, self.dims), np.float32)
        for row, text in enumerate(coded.dictionary.to_pylist()):
            places = [known.places[word] for word in WORD.findall(text.lower()) if word in known.places]
            distinct[row] = weights[places] @ known.vectors[places, : self.dims]
        distinct /= np.maximum(np.linalg.norm(distinct, axis=1, keepdims=True), 1e-12)
        codes = pc.fill_null(coded.indices, len(coded.dictionary)).to_numpy(zero_copy_only=False)
        return distinct[codes]


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Words and their vectors, the most frequent first.

    Args:
        places: word -> row of its vector.
        vectors: float32 ``[words, dims]``.
    """

    places: dict[str, int]
    vectors: NDArray[np.float32]

    def weights(self, smooth: float) -> NDArray[np.float32]:
        """What each word counts, float32 ``[words]``."""
        if smooth == 0:
            return np.ones(len(self.vectors), np.float32)
        share = 1 / np.arange(1, len(self.vectors) + 1)
        return np.asarray(smooth / (smooth + share / share.sum()), np.float32)


@lru_cache(maxsize=1)
def read_word_vectors(location: str) -> WordVectors:
    """The words of a file, folder or package; a second call in the same process costs nothing.

    Raises:
        ConfigError: they are not there, or not what was said.
    """
    place = find_model(location)
    found = _of_folder(place) if place.is_dir() else _of_text(place)
    if not len(found.vectors) or not np.isfinite(found.vectors).all():
        raise ConfigError(f"graph.text.model: {place} holds no word with finite numbers")
    return found


def _of_folder(folder: Path) -> WordVectors:
    arrays, words = sorted(folder.glob("*.npy")), sorted(folder.glob("*.parquet"))
    if len(arrays) != 1 or len(words) != 1:
        raise ConfigError(
            f"graph.text.model: {folder} must hold one .npy of vectors and one .parquet of words; it holds "
            f"{len(arrays)} and {len(words)}"
        )
    table = pq.read_table(words[0])
    named = next((name for name in table.column_names if pa.types.is_string(table.schema.field(name).type)), None)
    vectors = np.load(arrays[0], mmap_mode="r")
    if named is None or vectors.ndim != 2 or len(vectors) != table.num_rows:
        raise ConfigError(f"graph.text.model: {folder} has {table.num_rows:,} words and vectors of {vectors.shape}")
    return WordVectors(_places(table[named].to_pylist()), np.asarray(vectors, np.float32))


def _of_text(file: Path) -> WordVectors:
    words, rows = [], []
    try:
        for number, line in enumerate(_lines(file)):
            word, *numbers = line.rstrip().split(" ")
            if number == 0 and len(numbers) == 1:
                continue
            words.append(word)
            rows.append(np.array(numbers, np.float32))
        vectors = np.stack(rows) if rows else np.zeros((0, 0), np.float32)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"graph.text.model: {file} is no file of words and as many numbers each: {error}") from None
    return WordVectors(_places(words), vectors)


def _lines(file: Path) -> Iterator[str]:
    opened = COMPRESSED.get(file.suffix, open)
    with opened(file, "rt", encoding="utf-8") as lines:
        yield from lines


def _places(words: list[str]) -> dict[str, int]:
    """Rows of words; of one that is there twice the first."""
    places: dict[str, int] = {}
    for place, word in enumerate(words):
        places.setdefault(word, place)
    return places
