"""Fingerprints of keys, columnar: 64 bits that order keys and find them, and 32 more where those alone could collide.

Whole numbers go through a bijection, so their 64 bits are exact. Text is mixed word by word with the finaliser of
SplitMix64 (Steele, Lea and Flood, 2014), twice from different starts; among a billion keys the chance that any two
agree in all 96 bits is below 1e-11.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from gnnscale.arrays import plain_keys
from gnnscale.sampling import GOLDEN, mix

_SECOND_START = np.uint64(0x243F6A8885A308D3)


@dataclass(frozen=True)
class Fingerprints:
    """Of keys in a column.

    Args:
        hashes: uint64 ``[keys]``.
        checks: uint32 ``[keys]`` for text; None for numbers.
        valid: which keys are not null, bool ``[keys]``; None: all are.
    """

    hashes: NDArray[np.uint64]
    checks: NDArray[np.uint32] | None
    valid: NDArray[np.bool_] | None


def fingerprint_keys(column: pa.Array) -> Fingerprints:
    """Fingerprints of keys by their value; a null's means nothing."""
    text = plain_keys(column)
    valid = pc.is_valid(text).to_numpy(zero_copy_only=False) if text.null_count else None
    if pa.types.is_integer(text.type):
        filled = text.fill_null(0) if text.null_count else text
        return Fingerprints(mix(filled.to_numpy().view(np.uint64) + GOLDEN), None, valid)
    _, offsets, data = text.buffers()
    places = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
    octets = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    hashes, checks = _hash_text(places, octets)
    return Fingerprints(hashes, checks, valid)


@njit(nogil=True, cache=True, inline="always")
def _mix(value):  # type: ignore[no-untyped-def]
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(nogil=True, cache=True)
def _hash_text(offsets, octets):  # type: ignore[no-untyped-def]
    count = len(offsets) - 1
    hashes, checks = np.empty(count, np.uint64), np.empty(count, np.uint32)
    for i in range(count):
        start, end = offsets[i], offsets[i + 1]
        length = np.uint64(end - start)
        first, second = _mix(length + GOLDEN), _mix(length ^ _SECOND_START)
        at = start
        while at < end:
            word = np.uint64(0)
            if end - at >= 8:
                for k in range(8):
                    word |= np.uint64(octets[at + k]) << np.uint64(8 * k)
            else:
                for k in range(end - at):
                    word |= np.uint64(octets[at + k]) << np.uint64(8 * k)
            first, second = _mix(first ^ word), _mix(second + word)
            at += 8
        hashes[i] = first
        checks[i] = np.uint32(second >> np.uint64(32))
    return hashes, checks
