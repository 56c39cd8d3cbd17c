"""Counter-based randomness: every draw is a hash of (run seed, epoch, stream, example, slot).

The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014). No state is kept anywhere, so a
draw does not depend on threads, workers, batches or on what was drawn before.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling.paths import Path

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, S32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)
_LOW = np.uint64(2**32 - 1)

UInt64 = NDArray[np.uint64]


def mix(value: UInt64) -> UInt64:
    """SplitMix64's finaliser, elementwise on uint64."""
    with np.errstate(over="ignore"):
        value = (value ^ (value >> _S30)) * _M1
        value = (value ^ (value >> _S27)) * _M2
        return value ^ (value >> _S31)


@lru_cache(maxsize=4096)
def stream_key(seed: int, epoch: int, stream: str) -> np.uint64:
    """Key of all draws of one purpose (such as one hop along one path) in one epoch."""
    with np.errstate(over="ignore"):
        key = mix(np.asarray(seed & (2**64 - 1), np.uint64) + GOLDEN)
        key = mix(key + GOLDEN * np.uint64(epoch + 1))
        return np.uint64(mix(key + GOLDEN * np.uint64(zlib.crc32(stream.encode()) + 1)))


@lru_cache(maxsize=4096)
def hop_key(seed: int, epoch: int, path: Path) -> np.uint64:
    """Key of all draws of the hop that a path ends in; whoever samples the same hop draws the same.

    Args:
        seed: of the run.
        epoch: of the training.
        path: edge types from the seeds to the hop.
    """
    return stream_key(seed, epoch, "hop/" + "/".join(edge_type.table_name for edge_type in path))


def default_examples(seeds: NDArray[np.int64], anchors: NDArray[np.int32]) -> NDArray[np.int64]:
    """Identity of each example that has none of its own: a hash of seed and anchor, so that batches don't matter.

    Args:
        seeds: node ids ``[batch]``.
        anchors: seconds after the graph's origin ``[batch]``.

    Returns:
        int64 ``[batch]``, for :func:`example_keys`.
    """
    return mix(mix(seeds.astype(np.uint64)) ^ anchors.astype(np.uint64)).astype(np.int64)


def example_keys(key: np.uint64, examples: NDArray[np.int64]) -> UInt64:
    """One key an example under a stream's key, uint64 ``[len(examples)]``."""
    with np.errstate(over="ignore"):
        return mix(key + GOLDEN * (examples.astype(np.uint64) + np.uint64(1)))


def draw(keys: UInt64, slots: UInt64 | np.uint64) -> UInt64:
    """64 random bits for each (example key, slot), elementwise."""
    with np.errstate(over="ignore"):
        return mix(keys + GOLDEN * (slots + np.uint64(1)))


def below(bits: UInt64, bound: UInt64) -> UInt64:
    """Random bits as an integer in ``[0, bound)``, for bounds under 2**32.

    The upper half of the bits is scaled by a multiplication; the bias is at most bound / 2**32.
    """
    return ((bits >> S32) * bound) >> S32


def mulhi(bits: UInt64, bound: UInt64) -> UInt64:
    """Random bits as an integer in ``[0, bound)``, for every bound: the upper 64 bits of their 128-bit product.

    Exact, by four products of 32-bit halves; the bias is at most bound / 2**64.
    """
    # No partial sum passes 2**64: (2**32 - 1)**2 + (2**32 - 1) is less.
    upper, lower = bits >> S32, bits & _LOW
    bound_upper, bound_lower = bound >> S32, bound & _LOW
    cross = upper * bound_lower + ((lower * bound_lower) >> S32)
    other = lower * bound_upper + (cross & _LOW)
    return upper * bound_upper + (cross >> S32) + (other >> S32)


def permutation(key: np.uint64, count: int) -> NDArray[np.int64]:
    """The numbers 0 to count - 1 in the key's order."""
    slots = np.arange(count, dtype=np.uint64)
    return np.lexsort((slots, draw(np.full(count, key, np.uint64), slots))).astype(np.int64)
