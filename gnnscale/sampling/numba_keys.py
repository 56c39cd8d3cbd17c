"""Draws of :mod:`gnnscale.sampling.keys` compiled by numba, one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.sampling.keys import UInt64, mulhi


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view that may not be written."""
    # Numba compiles anew for arrays that may be written; what is mapped may not, so nothing may.
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


multiply_high = njit(nogil=True, cache=True)(mulhi)


@njit(nogil=True, cache=True)
def draw_bits(key, slot):  # type: ignore[no-untyped-def]
    """As :func:`gnnscale.sampling.keys.draw`, of one key and slot."""
    return _mixed(key + np.uint64(0x9E3779B97F4A7C15) * (np.uint64(slot) + np.uint64(1)))


@njit(nogil=True, cache=True)
def _mixed(value):  # type: ignore[no-untyped-def]
    """As :func:`gnnscale.sampling.keys.mix`, of one value."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def example_keys_of(key: np.uint64, examples: NDArray[np.int64]) -> UInt64:
    """As :func:`gnnscale.sampling.keys.example_keys`, in one pass."""
    keys = np.empty(len(examples), np.uint64)
    _fill_keys(key, examples, keys)
    return keys


def default_examples_of(seeds: NDArray[np.int64], anchors: NDArray[np.int32]) -> NDArray[np.int64]:
    """As :func:`gnnscale.sampling.keys.default_examples`, in one pass."""
    examples = np.empty(len(seeds), np.int64)
    _fill_examples(seeds, anchors, examples)
    return examples


# To give the interpreter's lock away and wait for it again would take longer than these do.
@njit(cache=True)
def _fill_keys(key, examples, keys):  # type: ignore[no-untyped-def]
    for i in range(len(examples)):
        keys[i] = draw_bits(key, np.uint64(examples[i]))


@njit(cache=True)
def _fill_examples(seeds, anchors, examples):  # type: ignore[no-untyped-def]
    for i in range(len(seeds)):
        examples[i] = np.int64(_mixed(_mixed(np.uint64(seeds[i])) ^ np.uint64(np.int64(anchors[i]))))
