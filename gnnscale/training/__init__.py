"""The training loop, the tasks that it trains, its checkpoints and its validation."""

from gnnscale.training.block_link_task import BlockLinks, BlockLinkTask
from gnnscale.training.block_task import BlockLabels, BlockTask
from gnnscale.training.build_task import build_task, check_task, kept_of
from gnnscale.training.entity_task import EntityKnowledge, EntityTask
from gnnscale.training.link_predictor import EntityScores, LinkPredictor
from gnnscale.training.link_task import LinkTask
from gnnscale.training.loop import Trainer
from gnnscale.training.model_file import EntityPredictor, load_entity_model, load_link_model, model_path, save_model
from gnnscale.training.outcome import Outcome
from gnnscale.training.place import Listener, Place
from gnnscale.training.task import TrainingTask, metrics_in_words

__all__ = [
    "BlockLabels",
    "BlockLinkTask",
    "BlockLinks",
    "BlockTask",
    "EntityKnowledge",
    "EntityPredictor",
    "EntityScores",
    "EntityTask",
    "LinkPredictor",
    "LinkTask",
    "Listener",
    "Outcome",
    "Place",
    "Trainer",
    "TrainingTask",
    "build_task",
    "check_task",
    "kept_of",
    "load_entity_model",
    "load_link_model",
    "metrics_in_words",
    "model_path",
    "save_model",
]
