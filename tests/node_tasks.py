"""The node-level task types, in the order in which tests go through them."""

from __future__ import annotations

from gnnscale.query import (
    BINARY_CLASSIFICATION,
    FORECASTING,
    MULTICLASS_CLASSIFICATION,
    MULTILABEL_CLASSIFICATION,
    REGRESSION,
)

NODE_TASKS = (
    BINARY_CLASSIFICATION,
    REGRESSION,
    FORECASTING,
    MULTICLASS_CLASSIFICATION,
    MULTILABEL_CLASSIFICATION,
)
