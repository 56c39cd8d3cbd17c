"""Samplers: neighborhoods as a function of their key."""

from gnnscale.sampling.block import Block, Hop
from gnnscale.sampling.sampler import NeighborSampler

__all__ = ["Block", "Hop", "NeighborSampler"]
