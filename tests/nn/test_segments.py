"""Reductions by segment equal torch on each segment alone."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.nn.segments import segment_logsumexp, segment_sum

rows = st.lists(st.tuples(st.integers(0, 4), st.floats(-50, 50)), min_size=1, max_size=30)


def split(rows: list[tuple[int, float]]) -> tuple[torch.Tensor, torch.Tensor]:
    index, values = zip(*rows, strict=True)
    return torch.tensor(values, dtype=torch.float64), torch.tensor(index)


@given(rows)
def test_segment_sum_adds_the_rows_of_each_segment(rows):
    values, index = split(rows)
    found = segment_sum(torch.stack([values, 2 * values], 1), index, 6)
    for segment in range(6):
        expected = values[index == segment].sum()
        torch.testing.assert_close(found[segment], torch.stack([expected, 2 * expected]))


@given(rows, st.integers(0, 3))
def test_segment_logsumexp_equals_torch_per_segment(rows, columns):
    values, index = split(rows)
    more = torch.linspace(-40, 40, 5 * columns, dtype=torch.float64).reshape(5, columns)
    found = segment_logsumexp(values, index, 5, more)
    for segment in range(5):
        entries = torch.cat([values[index == segment], more[segment]])
        if len(entries):
            torch.testing.assert_close(found[segment], torch.logsumexp(entries, 0))


@given(rows)
def test_its_gradient_is_the_softmax(rows):
    values, index = split(rows)
    values.requires_grad_()
    segment_logsumexp(values, index, 5).index_select(0, index.unique()).sum().backward()
    for segment in index.unique():
        own = index == segment
        torch.testing.assert_close(values.grad[own], torch.softmax(values.detach()[own], 0))


def test_large_scores_do_not_overflow_and_empty_segments_are_very_small():
    found = segment_logsumexp(torch.tensor([1e4, 1e4]), torch.tensor([0, 0]), 2)
    assert found[0] == 1e4 + math.log(2)
    assert found[1] < -1e8 and torch.isfinite(found[1])


def test_minus_infinity_drops_an_entry():
    more = torch.tensor([[0.0, -math.inf], [-math.inf, -math.inf]])
    found = segment_logsumexp(torch.tensor([1.0]), torch.tensor([1]), 2, more)
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0]))
