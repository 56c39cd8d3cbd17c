"""Codes of categories as sums of embeddings: by hand, with what is missing or absent."""

from __future__ import annotations

import torch

from gnnscale.nn.category_encoder import CategoryEncoder


def test_vectors_are_sums_over_the_columns() -> None:
    encoder = CategoryEncoder([3, 2], 4)
    rows = encoder.embeddings.weight
    # Row 0, then one for a missing value and one a category, column by column.
    assert rows.shape == (1 + 4 + 3, 4)
    codes = torch.tensor([[[3, 1], [0, 2]], [[1, 0], [2, 2]]], dtype=torch.int32)
    found = encoder(codes, torch.ones(2, 2, dtype=torch.bool))
    expected = [[rows[4] + rows[6], rows[1] + rows[7]], [rows[2] + rows[5], rows[3] + rows[7]]]
    torch.testing.assert_close(found, torch.stack([torch.stack(line) for line in expected]))


def test_what_is_missing_begins_at_zero_and_is_learned_and_what_is_absent_stays() -> None:
    encoder = CategoryEncoder([3, 2], 4)
    codes, present = torch.zeros(2, 2, dtype=torch.int32), torch.tensor([True, False])
    optimiser = torch.optim.SGD(encoder.parameters(), 0.1)
    assert not encoder(codes, present).any()
    (encoder(codes, present) - 1).square().sum().backward()
    optimiser.step()
    found = encoder(codes, present)
    assert (found[0] > 0).all() and not found[1].any()


def test_no_slots_are_no_vectors() -> None:
    encoder = CategoryEncoder([3], 4)
    found = encoder(torch.zeros(0, 5, 1, dtype=torch.int32), torch.zeros(0, 5, dtype=torch.bool))
    assert found.shape == (0, 5, 4)
    found.sum().backward()
    assert list(encoder.state_dict()) == ["embeddings.weight"]
