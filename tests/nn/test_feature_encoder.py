"""Point-in-time features as inputs: their scale, their place, and what is unknown of them."""

from __future__ import annotations

import pytest
import torch

from gnnscale.nn.encoders.feature_encoder import CUTS, FeatureEncoder

NAN = float("nan")


def encoded(encoder: FeatureEncoder, rows: list[list[float]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Level, place and whether it is known, each ``[rows, features]``."""
    level, place, known = encoder(torch.tensor(rows)).chunk(3, dim=1)
    return level, place, known


def test_a_value_is_told_by_its_level_and_by_its_place_in_the_sample() -> None:
    encoder = FeatureEncoder("a")
    encoder.fit(torch.linspace(0, 100, 1001).unsqueeze(1))
    level, place, known = encoded(encoder, [[-5.0], [0.0], [50.0], [100.0], [1e9]])
    torch.testing.assert_close(place[:, 0], torch.tensor([-0.5, -0.5, 0, 0.5, 0.5]), atol=0.6 / CUTS, rtol=0)
    assert level.diff(dim=0).gt(0).all() and level.max() == 8, "farther than any of the sample is cut off"
    assert (known == 0).all(), "what nobody lacks tells nothing"


def test_equal_values_stand_in_their_middle() -> None:
    encoder = FeatureEncoder("a")
    # Three of four rows are 0.
    encoder.fit(torch.tensor([0.0, 0.0, 0.0, 8.0]).repeat(100).unsqueeze(1))
    _, place, _ = encoded(encoder, [[0.0], [8.0], [4.0]])
    torch.testing.assert_close(place[:, 0], torch.tensor([0.375 - 0.5, 0.875 - 0.5, 0.25]), atol=1 / CUTS, rtol=0)


def test_what_is_unknown_is_told_and_stands_in_the_middle() -> None:
    encoder = FeatureEncoder("abc")
    encoder.fit(torch.tensor([[1.0, NAN, 3.0], [2.0, NAN, NAN], [4.0, NAN, 3.0], [8.0, NAN, 3.0]]))
    level, place, known = encoded(encoder, [[2.0, NAN, NAN], [2.0, 7.0, 3.0]])
    assert torch.isfinite(encoder(torch.full((2, 3), NAN))).all()
    assert level[0, 1:].tolist() == place[0, 1:].tolist() == [0.0, 0.0]
    torch.testing.assert_close(known, torch.tensor([[0.0, 0.0, -0.75], [0.0, 1.0, 0.25]]))
    # A feature that nobody of the sample has says that it is known, and is cut off.
    assert level[1].abs().max() <= 8 and level[1, 2] == 0


def test_infinities_are_as_far_as_anything() -> None:
    encoder, infinity = FeatureEncoder("a"), float("inf")
    encoder.fit(torch.tensor([[2.0], [infinity], [infinity], [-infinity]]))
    level, place, _ = encoded(encoder, [[-infinity], [2.0], [3e38], [infinity]])
    assert encoder.cuts.isfinite().all() and encoder.cuts.diff(dim=1).ge(0).all()
    assert level.isfinite().all() and level.diff(dim=0)[:2].gt(0).all() and level[2] == level[3]
    assert place.diff(dim=0)[:2].gt(0).all() and place[2] == place[3]


def test_weights_of_other_features_are_refused() -> None:
    encoder = FeatureEncoder(("count(a)", "count(b)"))
    FeatureEncoder(("count(a)", "count(b)")).load_state_dict(encoder.state_dict())
    with pytest.raises(RuntimeError, match="its features are others than those that it has learned from"):
        FeatureEncoder(("count(b)", "count(a)")).load_state_dict(encoder.state_dict())


def test_there_may_be_no_feature() -> None:
    encoder = FeatureEncoder(())
    encoder.fit(torch.zeros(5, 0))
    assert encoder(torch.zeros(2, 0)).shape == (2, 0) and encoder.channels == 0
