"""What targets are known by: their own embedding, their columns, or both; what was not learned tells nothing."""

import numpy as np
import pytest
import torch

from gnnscale.batches import RowFeatures, TargetBatch
from gnnscale.nn.encoders.item_encoder import ItemEncoder
from gnnscale.schema import FeatureManifest, TableManifest

TABLE = TableManifest("items", 5, None, (FeatureManifest("kind", "categorical", categories=("a", "b")),))


def batch(kinds: list[int], nodes: list[int]) -> TargetBatch:
    features = RowFeatures(torch.zeros(len(nodes), 0), torch.tensor(kinds).unsqueeze(1))
    valid = torch.ones(len(nodes), dtype=torch.bool)
    return TargetBatch(torch.tensor(nodes), features, valid, valid.unsqueeze(1), torch.zeros(len(nodes)))


def model(embedding: str) -> ItemEncoder:
    torch.manual_seed(0)
    described = ItemEncoder(TABLE, feature=4, identity=3, tower=6, embedding=embedding)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in described.parameters():
            parameter.normal_()
    return described.eval()


def differs(one: torch.Tensor, other: torch.Tensor) -> bool:
    return not np.allclose(one.detach(), other.detach())


@pytest.mark.parametrize(("embedding", "channels"), [("lookup", 3), ("feature", 4), ("fusion", 7)])
def test_only_what_is_asked_for_tells_targets_apart(embedding, channels):
    described = model(embedding)
    same_columns, same_node = batch([1, 1], [0, 1]), batch([1, 2], [0, 0])
    for vectors in (described.pair, described.tower):
        assert differs(*vectors(same_columns)) == (embedding != "feature")
        assert differs(*vectors(same_node)) == (embedding != "lookup")
    assert described.pair(same_node).shape == (2, described.channels) == (2, channels)
    assert all(parameter.requires_grad for parameter in described.parameters())


@pytest.mark.parametrize("embedding", ["lookup", "fusion"])
def test_the_embedding_of_a_target_that_was_not_learned_counts_for_nothing(embedding):
    described = model(embedding)
    described.learned[torch.tensor([3, 4])] = False
    inputs = batch([1, 1, 1], [2, 3, 4])
    for vectors in (described.pair, described.tower):
        learned, one, other = vectors(inputs)
        assert not differs(one, other) and differs(learned, one)
