"""A small file of order lines of the form of Online Retail's, for the recipe of item embeddings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from tests.shop import SPARK_SECTION

GROUPS, OF_GROUP = 8, 10
SMALL = (
    *("training.epochs=6", "training.warmup_steps=2", "training.batch_size=32", "training.negatives=40"),
    *("training.learning_rate=0.01", "training.gpu=no", "embedding.workers=1", "evaluation.resamples=20"),
    *("model.hidden=24", "model.pinsage.dims=16", "graph.text.dims=32", "anchors.train=2", "sampling.walks.number=40"),
    *("sampling.walks.top=6", "tracking.uri=null", "evaluation.baselines=[nearest_text,matrix_factorization]"),
    *(f"spark.{key}={json.dumps(value)}" for key, value in SPARK_SECTION.items()),
)


def write_lines(file: Path) -> None:
    """Invoices whose items are of one group each; the last item of a group is sold in the last weeks alone."""
    rng = np.random.default_rng(0)
    days = np.sort(rng.integers(0, 370, 900))
    groups = rng.integers(0, GROUPS, len(days))
    rows = [
        (f"i{number}", f"{group}{item:02d}", f"THING {item} OF KIND {group}", day, group * 5 + number % 5)
        for number, (day, group) in enumerate(zip(days, groups, strict=True))
        for item in rng.choice(OF_GROUP - (day < 340), 3, replace=False)
    ]
    frame = pd.DataFrame(rows, columns=["Invoice", "StockCode", "Description", "day", "Customer ID"])
    frame["InvoiceDate"] = pd.Timestamp("2009-12-01 10:00") + pd.to_timedelta(frame.pop("day"), unit="D")
    frame.assign(Quantity=1, Price=2.5, Country="France").to_parquet(file)
