"""The training loop, its checkpoints and its validation."""

from gnnscale.training.loop import Outcome, Trainer
from gnnscale.training.model_file import load_model, model_path, save_model
from gnnscale.training.place import Listener, Place

__all__ = ["Listener", "Outcome", "Place", "Trainer", "load_model", "model_path", "save_model"]
