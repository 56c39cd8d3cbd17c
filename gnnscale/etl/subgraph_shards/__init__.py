"""Subgraph shards: sampled neighborhoods of every example, as tensor-shaped columns of a Delta table."""

from gnnscale.etl.subgraph_shards.sample_shards import ShardPlan, build_shards

__all__ = ["ShardPlan", "build_shards"]
