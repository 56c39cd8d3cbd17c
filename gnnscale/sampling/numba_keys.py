"""Draws of :mod:`gnnscale.sampling.keys` compiled by numba, one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.sampling.keys import mulhi


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
    value = key + np.uint64(0x9E3779B97F4A7C15) * (np.uint64(slot) + np.uint64(1))
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
