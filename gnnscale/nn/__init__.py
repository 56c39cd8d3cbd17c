"""Encoders, the two-branch network and its loss."""

from gnnscale.nn.build import build_model
from gnnscale.nn.losses import PairLoss, pair_loss
from gnnscale.nn.two_branch import Scores, TwoBranchModel

__all__ = ["PairLoss", "Scores", "TwoBranchModel", "build_model", "pair_loss"]
