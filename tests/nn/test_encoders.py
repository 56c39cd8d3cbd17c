"""Encodings of ages and rows have the shape and the range that they promise."""

import pytest
import torch

from gnnscale.batches import RowFeatures
from gnnscale.batches.rows import CodeBags
from gnnscale.nn.age import DECAYS, AgeEncoder
from gnnscale.nn.encoders.rows import RowEncoder
from gnnscale.schema import FeatureManifest, TableManifest


@pytest.mark.parametrize("shape", [(0,), (5,), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("periods", [(), (7.0,), (7.0, 28.0)])
def test_ages_get_one_vector_each(shape, periods):
    encoder = AgeEncoder(periods=periods)
    found = encoder(torch.rand(shape) * 400)
    assert found.shape == (*shape, encoder.channels)
    assert encoder.channels == DECAYS + 2 * len(periods) + 2


def test_decays_fall_from_one_and_everything_is_finite():
    ages = torch.tensor([0.0, 0.5, 7.0, 400.0, 4_000.0])
    found = AgeEncoder()(ages)
    assert torch.isfinite(found).all()
    decays = found[:, :DECAYS]
    assert (decays[0] == 1).all() and (decays >= 0).all()
    assert (decays.diff(dim=0) <= 0).all()
    assert (decays[1].diff() >= 0).all()
    torch.testing.assert_close(decays[1, 0], torch.exp(torch.tensor(-1.0)))
    torch.testing.assert_close(decays[3, -1], torch.exp(torch.tensor(-1.0)))


def test_waves_have_their_period():
    encoder = AgeEncoder(periods=(7.0,))
    waves = encoder(torch.tensor([1.0, 8.0, 15.0]))[:, DECAYS : DECAYS + 2]
    torch.testing.assert_close(waves[1:], waves[:1].expand(2, 2), atol=1e-4, rtol=0)


TABLE = TableManifest(
    "t",
    9,
    None,
    (
        FeatureManifest("a", "numerical"),
        FeatureManifest("b", "categorical", categories=("x", "y")),
        FeatureManifest("c", "timestamp"),
    ),
)


def features(numerical, categorical) -> RowFeatures:
    return RowFeatures(torch.tensor(numerical), torch.tensor(categorical))


def test_a_missing_category_adds_nothing_and_others_differ():
    torch.manual_seed(0)
    table = TableManifest("t", 9, None, TABLE.categorical)
    found = RowEncoder(table, 8)(RowFeatures(torch.zeros(4, 0), torch.tensor([[0], [1], [2], [1]])))
    assert found.shape == (4, 8)
    assert (found[0] == 0).all()
    assert torch.equal(found[1], found[3]) and not torch.equal(found[1], found[2])


def test_columns_of_every_type_are_summed():
    torch.manual_seed(0)
    encoder = RowEncoder(TABLE, 8)
    one, other, both, neither = encoder(
        features([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]], [[1], [1], [1], [1]])
    )
    torch.testing.assert_close(one + other - neither, both)
    assert not torch.equal(one, other)


def test_a_table_without_features_gives_zeros():
    found = RowEncoder(TableManifest("t", 3, None, ()), 5)(RowFeatures(torch.zeros(3, 0), torch.zeros(3, 0).long()))
    assert found.shape == (3, 5) and not found.any()


LISTS = TableManifest(
    "t",
    9,
    None,
    (
        FeatureManifest("tags", "multicategorical", categories=("x", "y", "z")),
        FeatureManifest("title", "text", dims=4),
        FeatureManifest("vector", "embedding", dims=2, means=(0.0, 0.0), stds=(1.0, 1.0)),
    ),
)


def listed(tags: list[list[int]], titles: list[list[float]], vectors: list[list[float]]) -> RowFeatures:
    offsets = torch.tensor([0, *(len(codes) for codes in tags)]).cumsum(0)
    bags = CodeBags(torch.tensor([code for codes in tags for code in codes], dtype=torch.int64), offsets)
    embedded = (torch.tensor(titles, dtype=torch.float16), torch.tensor(vectors, dtype=torch.float16))
    return RowFeatures(torch.zeros(len(tags), 0), torch.zeros(len(tags), 0).long(), (bags,), embedded)


def test_tags_texts_and_vectors_each_change_the_row_and_are_summed():
    torch.manual_seed(0)
    encoder = RowEncoder(LISTS, 8)
    nothing, text = [0.0] * 4, [0.5, 0.5, -0.5, 0.5]
    found = encoder(
        listed(
            [[], [1], [1, 3], [], [], [1, 3]],
            [nothing, nothing, nothing, text, nothing, text],
            [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, -2.0], [1.0, -2.0]],
        )
    )
    assert found.shape == (6, 8) and found.dtype == torch.float32
    assert not found[0].any()
    assert len(torch.unique(found, dim=0)) == 6
    torch.testing.assert_close(found[5], found[2] + found[3] + found[4])
    weight = encoder.bags[0].weight
    torch.testing.assert_close(found[2], (weight[0] + weight[2]) / 2)
    # A text's vector of length 1 counts as one of deviation 1 in each dimension.
    torch.testing.assert_close(found[3], 2 * encoder.vectors[0].weight @ torch.tensor(text))
    found.sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_a_column_without_values_learns_nothing_and_harms_nothing():
    table = TableManifest("t", 2, None, (FeatureManifest("tags", "multicategorical"),))
    bags = CodeBags(torch.zeros(0, dtype=torch.int64), torch.zeros(3, dtype=torch.int64))
    rows = RowFeatures(torch.zeros(2, 0), torch.zeros(2, 0).long(), (bags,))
    assert not RowEncoder(table, 4)(rows).any()
