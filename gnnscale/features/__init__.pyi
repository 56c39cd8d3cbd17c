from .answer_history import AnswerHistory as AnswerHistory
from .class_features import ClassFeatures as ClassFeatures
from .entity_features import EntityFeatures as EntityFeatures
from .known_answers import KnownAnswers as KnownAnswers
from .pairs.pair_candidates import Candidates as Candidates
from .pairs.pair_features import PairFeatures as PairFeatures
from .text_rows import nearest_texts as nearest_texts
from .text_rows import text_vectors as text_vectors
