"""Scales that are taken once, and pieces of numbers."""

from __future__ import annotations

import torch

from gnnscale.nn.standardise import PIECES, PiecewiseLinearEncoding, Standardise


def test_columns_are_centred_and_scaled_by_the_sample_alone() -> None:
    sample = torch.randn(500, 3) * torch.tensor([1.0, 50.0, 0.0]) + torch.tensor([4.0, -7.0, 2.0])
    scale = Standardise(3)
    scale.fit(sample)
    found = scale(sample)
    torch.testing.assert_close(found[:, :2].mean(0), torch.zeros(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(found[:, :2].std(0), torch.ones(2), atol=1e-2, rtol=0)
    # A column without spread is centred, and what is far out is cut off.
    torch.testing.assert_close(
        scale(torch.tensor([[4.0, 1e9, 3.0]]))[0], torch.tensor([0.0, 8.0, 1.0]), atol=0.2, rtol=0
    )


def test_an_entity_without_columns_has_no_pieces() -> None:
    pieces = PiecewiseLinearEncoding(0)
    pieces.fit(torch.zeros(9, 0))
    assert pieces(torch.zeros(2, 0)).shape == (2, 0)


def test_pieces_fill_one_after_the_other() -> None:
    pieces = PiecewiseLinearEncoding(2)
    pieces.fit(torch.stack([torch.linspace(0, 8, 81), torch.full((81,), 5.0)], dim=1))
    assert pieces.channels == 2 * PIECES
    # [examples, PIECES, columns]
    found = pieces(torch.tensor([[2.5, 5.0], [-1.0, 0.0], [99.0, 9.0]])).view(3, PIECES, 2)
    torch.testing.assert_close(found[0, :, 0] + 0.5, torch.tensor([1, 1, 0.5, 0, 0, 0, 0, 0]))
    assert (found[1, :, 0] == -0.5).all() and (found[2, :, 0] == 0.5).all()
    assert (found[:, :, 1] == 0).all()
