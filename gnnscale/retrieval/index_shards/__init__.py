"""Targets past one machine: consecutive stretches, each indexed and searched by a process of its own."""

from gnnscale.retrieval.index_shards.build_shards import build_sharded_index
from gnnscale.retrieval.index_shards.index_shard import ShardSource, TargetShard, shard_bounds
from gnnscale.retrieval.index_shards.shard_pool import OpenShard, Question, ShardPool, StartShards
from gnnscale.retrieval.index_shards.sharded_search import EveryShard, ShardedIndex, ShardedVectors, Shards

__all__ = [
    "EveryShard",
    "OpenShard",
    "Question",
    "ShardPool",
    "ShardSource",
    "ShardedIndex",
    "ShardedVectors",
    "Shards",
    "StartShards",
    "TargetShard",
    "build_sharded_index",
    "shard_bounds",
]
