"""Where gnnscale can be extended: one registry a kind, each beside nothing but the name of its siblings' package."""

from __future__ import annotations

from typing import Any, Final

from gnnscale.schema.registry import Registry

TASKS: Final = Registry[Any]("task", "gnnscale.query.tasks")
"""Kinds of question: :class:`gnnscale.query.TaskSpec`."""

LABELS: Final = Registry[Any]("label", "gnnscale.etl.labels.rules")
"""Rules that make labels of what came true."""

METRICS: Final = Registry[Any]("metric", "gnnscale.metrics")
"""Figures of predictions, and which way is better."""

CHARTS: Final = Registry[Any]("chart", "gnnscale.evaluation.report.answer_charts")
"""Pictures of a model's answers."""

BASELINES: Final = Registry[Any]("baseline", "gnnscale.evaluation.baselines")
"""Simple methods that stand beside every model."""

TEXT_ENCODERS: Final = Registry[Any]("text_encoder", "gnnscale.etl.text")
"""Texts to vectors."""

SAMPLERS: Final = Registry[Any]("sampler", "gnnscale.sampling.backends")
"""Backends of the neighbor sampler, equal on the same keys."""

NEGATIVES: Final = Registry[Any]("negative", "gnnscale.sampling.negatives")
"""What a positive is compared with."""

CONVOLUTIONS: Final = Registry[Any]("convolution", "gnnscale.nn.conv")
"""Messages from sampled neighbors to a node."""

SEQUENCE_OBJECTIVES: Final = Registry[Any]("sequence_objective", "gnnscale.batches.sequences")
"""What training asks of a sequence of actions."""

LOSSES: Final = Registry[Any]("loss", "gnnscale.nn.losses")
"""What training minimizes."""

NETWORKS: Final = Registry[Any]("network", "gnnscale.training.networks")
"""Networks with what makes their batches."""

RECOMMENDERS: Final = Registry[Any]("recommender", "gnnscale.collaborative.recommenders")
"""Scores of items from what all users have had."""

INDEX_KINDS: Final = Registry[Any]("index_kind", "gnnscale.retrieval.index.kinds")
"""Indexes of target vectors."""

KEY_VALUE_STORES: Final = Registry[Any]("store", "gnnscale.publish.stores")
"""Where readers look up what was published, by the schemes of their URIs."""
