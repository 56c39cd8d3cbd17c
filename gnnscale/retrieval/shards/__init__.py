"""Targets past one machine: consecutive stretches, each indexed and searched by a process of its own."""

from gnnscale.retrieval.shards.build import build_sharded_index
from gnnscale.retrieval.shards.pool import HireShards, OpenShard, Question, ShardPool
from gnnscale.retrieval.shards.search import EveryShard, ShardedIndex, ShardedVectors, Shards
from gnnscale.retrieval.shards.shard import ShardSource, TargetShard, shard_bounds

__all__ = [
    "EveryShard",
    "HireShards",
    "OpenShard",
    "Question",
    "ShardPool",
    "ShardSource",
    "ShardedIndex",
    "ShardedVectors",
    "Shards",
    "TargetShard",
    "build_sharded_index",
    "shard_bounds",
]
