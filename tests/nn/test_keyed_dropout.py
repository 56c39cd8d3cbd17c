"""Drop-out by keys: as often as asked for, alike however a batch is cut, and anew with every step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gnnscale.nn.keyed_dropout import KeyedDropout, set_dropout_step

ROWS, CHANNELS = 4000, 48


def mask(layer: KeyedDropout, rows: Tensor, step: int = 7) -> Tensor:
    set_dropout_step(layer, step)
    return layer(torch.ones(len(rows), CHANNELS), rows) > 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.75])
def test_so_many_are_dropped_in_every_row_and_channel_and_the_mean_stays(share: float) -> None:
    layer, rows = KeyedDropout(share, "hidden"), torch.arange(ROWS)
    set_dropout_step(layer, 3)
    values = torch.full((ROWS, CHANNELS), 2.0)
    found = layer(values, rows)
    assert found.unique().tolist() == pytest.approx([0, 2 / (1 - share)])
    dropped = (found == 0).double()
    deviation = (share * (1 - share)) ** 0.5
    assert abs(dropped.mean() - share) < 5 * deviation / (ROWS * CHANNELS) ** 0.5
    assert (dropped.mean(0) - share).abs().max() < 5 * deviation / ROWS**0.5
    assert abs(float(dropped.mean(1).std()) - deviation / CHANNELS**0.5) < 0.1 * deviation / CHANNELS**0.5
    # Neither neighboring channels nor neighboring rows tell of each other.
    centred = dropped - share
    for other in (centred.roll(1, 0), centred.roll(1, 1), centred.roll(2, 1)):
        assert abs((centred * other).mean()) < 5 * deviation**2 / (ROWS * CHANNELS) ** 0.5


def test_masks_do_not_depend_on_the_batch() -> None:
    layer, rows = KeyedDropout(0.3, "hidden"), torch.randint(0, 1 << 62, (ROWS,))
    whole, order = mask(layer, rows), torch.randperm(ROWS)
    assert torch.equal(mask(layer, rows[order]), whole[order])
    assert torch.equal(torch.cat([mask(layer, part) for part in rows.split(301)]), whole)
    assert torch.equal(mask(layer, rows[[5, 5, 9]]), whole[[5, 5, 9]])


def test_steps_layers_and_rows_have_masks_of_their_own() -> None:
    layer, other, rows = KeyedDropout(0.5, "first"), KeyedDropout(0.5, "second"), torch.arange(ROWS)
    one = mask(layer, rows)
    for found in (mask(layer, rows, 8), mask(layer, rows, 1 << 62), mask(other, rows), mask(layer, rows + ROWS)):
        assert abs(float((one == found).double().mean()) - 0.5) < 0.01


def test_gradients_go_where_values_went_and_evaluation_drops_nothing() -> None:
    network = nn.ModuleList([KeyedDropout(0.4, "hidden"), nn.Linear(2, 2)])
    layer, values = network[0], torch.ones(50, CHANNELS, requires_grad=True)
    set_dropout_step(network, 5)
    found = layer(values, torch.arange(50))
    found.sum().backward()
    torch.testing.assert_close(values.grad, found.detach())
    assert layer.eval()(values, torch.arange(50)) is values
    assert KeyedDropout(0.0, "none")(values, torch.arange(50)) is values
    assert not layer.state_dict()
