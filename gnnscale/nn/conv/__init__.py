"""Convolutions on sampled blocks: masked reductions over the last slots, without scatter or relabelling."""

from gnnscale.nn.conv.block_network import BlockNetwork
from gnnscale.nn.conv.gatv2 import GATv2Conv
from gnnscale.nn.conv.importance import ImportanceConv
from gnnscale.nn.conv.sage import SAGEConv

__all__ = ["BlockNetwork", "GATv2Conv", "ImportanceConv", "SAGEConv"]
