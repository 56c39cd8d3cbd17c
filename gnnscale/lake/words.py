"""What a column of words holds: the narrowest type that all of them are written in, and their values in it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Words: TypeAlias = "pa.Array | pa.ChunkedArray"

_ODD: Final = ("-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN", "-NaN", "-nan")

MISSING: Final = pa.array(
    ["", "#N/A", "#N/A N/A", "#NA", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", *_ODD]
)
"""Words for a value that is not known, between numbers, truths and times; in a column of text they are words."""


class WordKind(Enum):
    """Types of words, the narrowest first.

    Whole numbers that 64 bits don't hold, and numbers with zeros before them, as codes have, are text: as numbers
    they would be others. So are times of a day, which no date goes with.
    """

    WHOLE = pa.int64()
    REAL = pa.float64()
    TRUTH = pa.bool_()
    DATE = pa.date32()
    TIME = pa.timestamp("us")
    ZONED_TIME = pa.timestamp("us", "UTC")
    TEXT = pa.string()

    @property
    def type(self) -> pa.DataType:
        """Of the values."""
        return self.value


TIMES: Final = (WordKind.DATE, WordKind.TIME, WordKind.ZONED_TIME, WordKind.TEXT)
"""What words between quotes may be."""

_CODE: Final = r"^[+-]?0[0-9]"
_LONG: Final = r"^[+-]?[0-9]{17,}$"


class WordKinds:
    """The types that all words of a column seen so far are written in.

    Args:
        kinds: that are possible, the narrowest first.
        with_zeros: whether numbers may have zeros before them.
    """

    def __init__(self, kinds: Sequence[WordKind], with_zeros: bool = False) -> None:
        self._possible, self._with_zeros = list(kinds), with_zeros
        self.is_empty = True

    def see(self, words: Words) -> None:
        """Look at more words; string."""
        if self._possible == [WordKind.TEXT]:
            return
        known = _known(words).drop_null()
        if len(known):
            self.is_empty = False
            self._possible = [kind for kind in self._possible if _is_written(kind, known, self._with_zeros)]

    def found(self) -> WordKind:
        """The narrowest of them; text where there was no word."""
        return WordKind.TEXT if self.is_empty else self._possible[0]


def read_words(kind: WordKind, words: Words) -> Words:
    """The values of words, null where they are missing.

    Raises:
        pyarrow.ArrowInvalid: a word is not written in the type.
    """
    return words if kind is WordKind.TEXT else _values(kind, _known(words))


def _known(words: Words) -> Words:
    trimmed = pc.utf8_trim_whitespace(words)
    return pc.if_else(pc.is_in(trimmed, MISSING), pa.scalar(None, pa.string()), trimmed)


def _is_written(kind: WordKind, known: Words, with_zeros: bool) -> bool:
    refused = [] if with_zeros or kind not in (WordKind.WHOLE, WordKind.REAL) else [_CODE]
    refused += [_LONG] if kind is WordKind.REAL else []
    if refused and pc.any(pc.match_substring_regex(known, "|".join(refused))).as_py():
        return False
    try:
        _values(kind, known)
    except pa.ArrowInvalid:
        return False
    return True


def _values(kind: WordKind, known: Words) -> Words:
    if kind not in (WordKind.TIME, WordKind.ZONED_TIME):
        return known.cast(kind.type)
    try:
        return known.cast(kind.type)
    except pa.ArrowInvalid:
        # With nine digits after the second.
        exact = known.cast(pa.timestamp("ns", kind.type.tz))
        return pc.ceil_temporal(exact, unit="microsecond").cast(kind.type)
