"""Samplers: neighborhoods as a function of their key."""

from gnnscale.sampling.block import Block, Hop
from gnnscale.sampling.paths import plan_paths
from gnnscale.sampling.rule import Rule
from gnnscale.sampling.sampler import NeighborSampler
from gnnscale.sampling.walk_rule import WalkRule
from gnnscale.sampling.walks import Trails, Walks, WalkSampler

__all__ = ["Block", "Hop", "NeighborSampler", "Rule", "Trails", "WalkRule", "WalkSampler", "Walks", "plan_paths"]
