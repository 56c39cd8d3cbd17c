"""The store that a program tracks its own MLflow runs in, kept through a call of ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_store() -> Iterator[None]:
    """Point MLflow back at the store that it had, where the program has loaded it; ours is named in each run's lake."""
    mlflow = sys.modules.get("mlflow")
    before = mlflow.get_tracking_uri() if mlflow else None
    try:
        yield
    finally:
        if mlflow:
            mlflow.set_tracking_uri(before)
