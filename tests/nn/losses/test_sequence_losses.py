"""The full softmax in parts, and the calibrated cross-entropy, against their definitions."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from gnnscale.nn import PositionVectors
from gnnscale.nn.losses import full_softmax_loss
from gnnscale.nn.losses.full_softmax_loss import softmax_sum
from gnnscale.nn.losses.gbce_loss import CalibrationOptions, GeneralisedBinaryLoss, gbce_power


@pytest.mark.parametrize("rows", [0, 1, 37])
def test_the_softmax_in_parts_is_the_cross_entropy_with_its_gradients(rows, monkeypatch):
    monkeypatch.setattr(full_softmax_loss, "CELLS", 11 * 5)
    torch.manual_seed(0)
    own, targets = (torch.randn(n, 6, requires_grad=True) for n in (rows, 11))
    positives = torch.randint(0, 11, (rows,))
    expected = cross_entropy(own @ targets.T, positives, reduction="sum")
    found = softmax_sum(own, targets, positives)
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(3 * expected, (own, targets))
    for one, other in zip(torch.autograd.grad(3 * found, (own, targets)), wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_without_calibration_it_is_the_binary_cross_entropy():
    torch.manual_seed(0)
    entity, positive, negative = torch.randn(5, 4), torch.randn(5, 4), torch.randn(7, 4)
    outputs = PositionVectors(entity, torch.cat([positive, negative]))
    present = torch.rand(5, 7) < 0.7
    loss = GeneralisedBinaryLoss(CalibrationOptions(calibration=0.0))
    found = loss.total(outputs, SimpleNamespace(catalogue=100), present, torch.zeros(7))
    scores = torch.cat([(entity * positive).sum(1, keepdim=True), entity @ negative.T], dim=1)
    labels = torch.zeros_like(scores)
    labels[:, 0] = 1
    weights = torch.cat([torch.ones(5, 1), present.float()], dim=1)
    expected = binary_cross_entropy_with_logits(scores, labels, weights, reduction="sum") / 8
    torch.testing.assert_close(found, expected)
    # Negatives of each example apart.
    each = negative.expand(5, 7, 4).reshape(-1, 4)
    apart = PositionVectors(entity, torch.cat([positive, each]))
    torch.testing.assert_close(loss.total(apart, SimpleNamespace(catalogue=100), present, torch.zeros(5, 7)), expected)


def test_the_power_is_that_of_the_paper():
    # Worked by hand: a = 10 / 100; beta = a (t (1 - 1 / a) + 1 / a).
    assert gbce_power(0.0, 10, 101) == pytest.approx(1.0)
    assert gbce_power(1.0, 10, 101) == pytest.approx(0.1)
    assert gbce_power(0.75, 10, 101) == pytest.approx(0.325)
