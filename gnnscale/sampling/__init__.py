"""Samplers: neighborhoods as a function of their key."""

from gnnscale.sampling.block import Block, Hop
from gnnscale.sampling.paths import plan_paths
from gnnscale.sampling.rule import Rule
from gnnscale.sampling.sampler import NeighborSampler

__all__ = ["Block", "Hop", "NeighborSampler", "Rule", "plan_paths"]
