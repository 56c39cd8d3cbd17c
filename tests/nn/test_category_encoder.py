"""Codes of categories as sums of embeddings: by hand, with what is missing or absent."""

from __future__ import annotations

import torch

from gnnscale.batches import ListColumn, RowFeatures
from gnnscale.batches.rows import CodeBags
from gnnscale.nn.encoders.category_encoder import CategoryEncoder
from gnnscale.nn.encoders.rows import RowEncoder
from gnnscale.schema import FeatureManifest, TableManifest


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


def test_a_list_adds_the_mean_of_its_categories() -> None:
    encoder = CategoryEncoder([3, ListColumn(2, 2), ListColumn(4, 3)], 5)
    rows = encoder.embeddings.weight
    assert rows.shape == (1 + 4 + 3 + 5, 5)
    codes = torch.tensor([[2, 1, 2, 4, 0, 0], [0, 0, 0, 1, 2, 4], [1, 2, 0, 0, 0, 0]], dtype=torch.int32)
    found = encoder(codes, torch.tensor([True, True, False]))
    torch.testing.assert_close(found[0], rows[3] + (rows[6] + rows[7]) / 2 + rows[12])
    torch.testing.assert_close(found[1], rows[1] + (rows[9] + rows[10] + rows[12]) / 3)
    assert not found[2].any()
    # What stands behind a list, and lists of none, teach nothing.
    found.sum().backward()
    assert rows.grad is not None and not rows.grad[[0, 5, 8]].any() and rows.grad[[1, 3, 6, 7, 9, 12]].all()


def test_lists_are_encoded_as_other_networks_encode_them() -> None:
    table = TableManifest("t", 9, None, (FeatureManifest("tags", "multicategorical", categories=("x", "y", "z")),))
    bags, padded = RowEncoder(table, 4), CategoryEncoder([ListColumn(3, 3)], 4)
    with torch.no_grad():
        padded.embeddings.weight[2:] = bags.bags[0].weight
    lists = CodeBags(torch.tensor([1, 3, 2]), torch.tensor([0, 2, 2, 3]))
    expected = bags(RowFeatures(torch.zeros(3, 0), torch.zeros(3, 0, dtype=torch.int64), (lists,)))
    codes = torch.tensor([[1, 3, 0], [0, 0, 0], [2, 0, 0]], dtype=torch.int32)
    torch.testing.assert_close(padded(codes, torch.ones(3, dtype=torch.bool)), expected)
