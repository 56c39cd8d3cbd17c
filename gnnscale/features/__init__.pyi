from .class_features import ClassFeatures as ClassFeatures
from .entity_features import EntityFeatures as EntityFeatures
from .pair_candidates import Candidates as Candidates
from .pair_features import PairFeatures as PairFeatures
