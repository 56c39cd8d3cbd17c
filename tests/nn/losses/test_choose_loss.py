"""The default loss is one that the task names, whatever else is registered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from torch import Tensor

from gnnscale.nn import LinkLoss, Scores, TowerVectors, choose_loss
from gnnscale.query import STATIC_LINK_PREDICTION, TEMPORAL_LINK_PREDICTION
from gnnscale.schema import LOSSES, ConfigError


class EverythingLoss(LinkLoss):
    """Fits every network that ranks rows."""

    outputs = object
    one_positive = True

    def total(self, outputs: Any, inputs: Any, present: Tensor, log_share: Tensor) -> Tensor:
        return log_share.sum()


@pytest.fixture
def early() -> Iterator[str]:
    """A loss whose name comes before all others."""
    with LOSSES.temporarily({"a_loss": EverythingLoss}):
        yield "a_loss"


def fits(outputs: type) -> Any:
    return lambda loss: issubclass(loss, LinkLoss) and issubclass(outputs, loss.outputs)


@pytest.mark.parametrize("task", [TEMPORAL_LINK_PREDICTION, STATIC_LINK_PREDICTION])
@pytest.mark.parametrize(("outputs", "default"), [(Scores, "pair"), (TowerVectors, "sampled_softmax")])
def test_the_default_stays_when_another_loss_is_registered(task: Any, outputs: type, default: str, early: str) -> None:
    assert choose_loss("auto", fits(outputs), "links", task.losses)[0] is LOSSES.find(default)
    assert choose_loss(early, fits(outputs), "links", task.losses)[0] is EverythingLoss


def test_without_a_default_the_losses_that_fit_are_named(early: str) -> None:
    with pytest.raises(ConfigError, match=r"training.loss=auto has no default for dicts; name one of a_loss"):
        choose_loss("auto", fits(dict), "dicts", TEMPORAL_LINK_PREDICTION.losses)
