"""Convolutions on sampled blocks: masked reductions over the last slots, without scatter or relabelling."""

from gnnscale.nn.conv.gat import GATConv
from gnnscale.nn.conv.importance import ImportanceConv
from gnnscale.nn.conv.network import BlockNetwork
from gnnscale.nn.conv.sage import SAGEConv

__all__ = ["BlockNetwork", "GATConv", "ImportanceConv", "SAGEConv"]
