"""Encoders, the two-branch network of link tasks, the network of entity tasks, and their losses."""

from gnnscale.nn.build import build_entity_model, build_model
from gnnscale.nn.entity_losses import EntityObjective
from gnnscale.nn.entity_model import EntityModel
from gnnscale.nn.losses import PairLoss, pair_loss
from gnnscale.nn.target_space import TargetSpace
from gnnscale.nn.two_branch import Scores, TwoBranchModel

__all__ = [
    "EntityModel",
    "EntityObjective",
    "PairLoss",
    "Scores",
    "TargetSpace",
    "TwoBranchModel",
    "build_entity_model",
    "build_model",
    "pair_loss",
]
