"""Vectors and scores of every entity and target, and the answers of entity tasks."""

from gnnscale.inference.asked import asked_nodes, read_keys
from gnnscale.inference.embed import SweepSummary, embed
from gnnscale.inference.predict import predict

__all__ = ["SweepSummary", "asked_nodes", "embed", "predict", "read_keys"]
