"""Memory is given out again once nothing refers to it, and not before."""

import ctypes
import platform
import resource

import numpy as np
import pytest
import torch

from gnnscale.arrays import reused_memory
from gnnscale.arrays.reused_memory import LEAST, KeptBlocks, kept_heap, reused_array


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    monkeypatch.setattr(reused_memory, "_KEPT", blocks := KeptBlocks())
    return blocks


def place_of(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64])
def test_an_array_takes_the_memory_of_one_that_is_gone(dtype):
    first = reused_array((LEAST, 3), dtype)
    assert first.shape == (LEAST, 3) and first.dtype == dtype and first.flags.c_contiguous and first.flags.writeable
    place = place_of(first)
    del first
    # A little less of another type fits too.
    second = reused_array((LEAST * 3 * np.dtype(dtype).itemsize - 8,), np.int8)
    assert place_of(second) == place


@pytest.mark.parametrize("holder", [lambda array: array[5:9, 1], lambda array: torch.from_numpy(array)[3], memoryview])
def test_what_something_refers_to_stays_as_it_is(holder):
    first = reused_array((LEAST, 2), np.float32)
    first[:] = 7
    held = holder(first)
    del first
    second = reused_array((LEAST, 2), np.float32)
    second[:] = 1
    assert (np.asarray(held) == 7).all() and not np.may_share_memory(np.asarray(held), second)


def test_no_more_is_kept_than_is_allowed(kept, monkeypatch):
    monkeypatch.setattr(reused_memory, "MOST", 5 * LEAST)
    several = [reused_array((2 * LEAST,), np.int8) for _ in range(4)]
    places = [place_of(array) for array in several]
    assert len(set(places)) == 4
    del several
    assert sum(map(len, kept._free)) == 4 * LEAST
    # Small ones are the C library's, and one of another size gets memory of its own.
    assert reused_array((LEAST - 1,), np.int8).base is None
    assert len(reused_array((3 * LEAST,), np.int8)) == 3 * LEAST and sum(map(len, kept._free)) <= 5 * LEAST
    assert reused_array((0, 5), np.float32).shape == (0, 5)


def faults_of(times: int) -> int:
    """Pages that the system hands out while a large block comes and goes."""
    library = ctypes.CDLL(None)
    library.malloc.restype, library.malloc.argtypes, library.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        block = library.malloc(64 << 20)
        ctypes.memset(block, 1, 64 << 20)
        library.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_a_kept_heap_has_its_pages_cleared_once_and_hands_them_back() -> None:
    usual = faults_of(8)
    with kept_heap():
        faults_of(1)
        with kept_heap():
            assert faults_of(8) < usual / 8
        # Whoever else keeps it still does.
        assert faults_of(8) < usual / 8
    assert faults_of(8) > usual / 2
