"""Hashed n-grams: vectors of texts without a model.

Feature hashing with signs (Weinberger et al., ICML 2009, equation 1): with hashes h and xi of an n-gram, dimension i of
a text is the sum of xi(g) over its n-grams g with h(g) = i, so that those which collide cancel on average. The n-grams
are words, pairs of neighboring words, and letter triples within a word and its edges, which words of one stem share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from gnnscale.config import Positive, Section
from gnnscale.schema import TEXT_ENCODERS

HASHED_DIMS: Final = 128
"""Dimensions unless the configuration says otherwise."""

GAP: Final = 0x20
"""The byte between words: all that is no letter, mark or digit has become one space."""

_PRIME, _START = np.uint64(0x100000001B3), np.uint64(0xCBF29CE484222325)
_WORD, _PAIR, _TRIPLE = np.uint64(1), np.uint64(2), np.uint64(3)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class HashedOptions(Section):
    """Of hashed n-grams.

    Args:
        dims: length of a vector; ``auto`` for 128.
    """

    dims: Literal["auto"] | Positive = "auto"


@TEXT_ENCODERS.register("hashed")
@dataclass(frozen=True)
class HashedEncoder:
    """N-grams of a text, hashed into signed counts and scaled to length 1.

    Upper and lower case, and what Unicode holds for equal (NFKD), count the same.

    Args:
        dims: length of a vector.
    """

    dims: int

    Options: ClassVar[type[Section]] = HashedOptions

    @classmethod
    def build(cls, options: HashedOptions) -> Self:
        """The encoder of some options."""
        return cls(HASHED_DIMS if options.dims == "auto" else options.dims)

    def encode(self, texts: pa.Array) -> NDArray[np.float32]:
        """Vectors of length 1, ``[texts, dims]``; zeros where a text is null or holds no word."""
        plain = pc.fill_null(texts.cast(pa.large_string()), "")
        plain = pc.utf8_lower(pc.utf8_normalize(plain, form="NFKD"))
        # A gap on either side, as between words: every letter then has two neighbors.
        gap = pa.scalar(chr(GAP), pa.large_string())
        plain = pc.binary_join_element_wise(gap, plain, gap, pa.scalar("", pa.large_string()))
        # Marks belong to their letters: without them, words of many scripts would fall apart.
        plain = pc.replace_substring_regex(plain, r"[^\p{L}\p{M}\p{N}]+", chr(GAP))
        vectors = np.zeros((len(plain), self.dims), np.float32)
        _, ends, content = plain.buffers()
        if len(plain):
            offsets = np.frombuffer(ends, np.int64)[plain.offset : plain.offset + len(plain) + 1]
            _count(np.frombuffer(content, np.uint8), offsets, vectors)
        return vectors


@njit(nogil=True, cache=True)
def _add(vector, key):  # type: ignore[no-untyped-def]
    """Count one n-gram: the finaliser of SplitMix64 makes its hash bits independent."""
    key = (key ^ (key >> np.uint64(30))) * _M1
    key = (key ^ (key >> np.uint64(27))) * _M2
    key = key ^ (key >> np.uint64(31))
    place = (key >> np.uint64(32)) % np.uint64(len(vector))
    vector[place] += np.float32(1) if key & np.uint64(1) else np.float32(-1)


@njit(nogil=True, cache=True)
def _fnv(content, start, end, key):  # type: ignore[no-untyped-def]
    """FNV-1a of bytes, from a key on."""
    for place in range(start, end):
        key = (key ^ np.uint64(content[place])) * _PRIME
    return key


@njit(nogil=True, cache=True)
def _next_letter(content, place):  # type: ignore[no-untyped-def]
    """Where the UTF-8 letter ends that starts at ``place``."""
    place += 1
    while place < len(content) and content[place] & 0xC0 == 0x80:
        place += 1
    return place


@njit(nogil=True, cache=True)
def _count(content, offsets, vectors):  # type: ignore[no-untyped-def]
    for row in range(len(vectors)):
        vector = vectors[row]
        letter, before, last = offsets[row], offsets[row], np.uint64(0)
        word = _START ^ _WORD
        while letter < offsets[row + 1]:
            after = _next_letter(content, letter)
            if content[letter] != GAP:
                word = _fnv(content, letter, after, word)
                _add(vector, _fnv(content, before, _next_letter(content, after), _START ^ _TRIPLE))
            elif word != _START ^ _WORD:
                _add(vector, word)
                if last:
                    _add(vector, ((last * _M1) ^ word) * _PRIME ^ _PAIR)
                last, word = word, _START ^ _WORD
            before, letter = letter, after
        length = np.float32(0)
        for value in vector:
            length += value * value
        if length > 0:
            vector /= np.sqrt(length)
