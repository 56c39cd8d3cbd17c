"""A loss that is no finite number ends the training with one line, and metrics that are undefined are called so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnnscale.batches import AnswerShape
from gnnscale.batches.blocks.block_loader import BlockLoader
from gnnscale.query import BINARY_CLASSIFICATION
from gnnscale.sampling import NeighborSampler
from gnnscale.schema import DataError
from gnnscale.training import Trainer, metrics_in_words
from tests.gpu.graphs import CUSTOMERS, DAY, shop_store
from tests.training.block_job import block_task, settings_of


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    store, rng = shop_store(tmp_path), np.random.default_rng(0)
    sampler = NeighborSampler(store, [{"purchases.customer_id": 1}], "last", table="customers")
    features = {table.name: np.full((table.rows, 1), np.inf, np.float32) for table in store.manifest.tables}
    given = rng.integers(0, CUSTOMERS, 40), np.full(40, 50 * DAY, np.int32)
    values = rng.integers(0, 2, (40, 1)).astype(np.float32)
    source = BlockLoader(sampler, features, *given, batch_size=20, chosen=np.arange(20))
    settings = settings_of(str(tmp_path), epochs=1, batch_size=20)
    task = block_task(settings, source, AnswerShape(BINARY_CLASSIFICATION), values, np.arange(20, 40))
    with pytest.raises(
        DataError, match=r"the training loss is nan by step 1: a lower training\.learning_rate may keep"
    ):
        Trainer(settings, task).run()


def test_undefined_metrics_are_called_so() -> None:
    figures = {"auroc": float("nan"), "accuracy": 1.0, "loss": float("nan"), "epoch": 1.0}
    assert metrics_in_words(figures) == "AUROC undefined, accuracy 1"
