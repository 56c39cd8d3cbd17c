"""Gradients of rows that many read are the same, bit for bit, each time, on two threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from gnnscale.nn import repeatable_sums


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def gradient(index: torch.Tensor, weight: torch.Tensor) -> bytes:
    table = torch.zeros(11, 16, requires_grad=True)
    (table[index] * weight).sum().backward()
    assert table.grad is not None
    return table.grad.numpy().tobytes()


def test_rows_that_many_read_get_one_gradient() -> None:
    draw = torch.Generator().manual_seed(5)
    index, weight = torch.randint(0, 11, (100_000,), generator=draw), torch.randn(100_000, 16, generator=draw)
    with repeatable_sums("cpu"):
        assert len({gradient(index, weight) for _ in range(20)}) == 1


def test_the_setting_is_left_as_it_was_found() -> None:
    def setting() -> tuple[bool, bool, bool]:
        fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
        warns = torch.is_deterministic_algorithms_warn_only_enabled()
        return torch.are_deterministic_algorithms_enabled(), warns, fills

    before = setting()
    found = []

    def fail() -> None:
        with repeatable_sums("cpu"):
            found.append(setting())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert found == [(True, True, False)]
    assert setting() == before == (False, False, True)
    with repeatable_sums("cuda"):
        assert setting() == before
