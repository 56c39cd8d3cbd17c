"""Negatives: targets that stand for all that an example did not choose, as a function of their key."""

from gnnscale.sampling.negatives.hard import HardNegatives
from gnnscale.sampling.negatives.in_batch import InBatchNegatives
from gnnscale.sampling.negatives.known import KnownPositives
from gnnscale.sampling.negatives.negative_rule import NegativeRule, build_negatives
from gnnscale.sampling.negatives.popular import PopularNegatives, UniformNegatives
from gnnscale.sampling.negatives.popularity import Popularity
from gnnscale.sampling.negatives.request import NegativeRequest, Negatives
from gnnscale.sampling.negatives.shared import NegativeSampler, SharedNegatives
from gnnscale.sampling.negatives.strategy import Negative, TargetSource

__all__ = [
    "HardNegatives",
    "InBatchNegatives",
    "KnownPositives",
    "Negative",
    "NegativeRequest",
    "NegativeRule",
    "NegativeSampler",
    "Negatives",
    "PopularNegatives",
    "Popularity",
    "SharedNegatives",
    "TargetSource",
    "UniformNegatives",
    "build_negatives",
]
