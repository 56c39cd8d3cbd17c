"""Boosted trees on point-in-time features beside the network of a link task, as a member of its blend."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np

from gnnscale.arrays import Flags, Ids, Ragged
from gnnscale.batches import FEW_REPEATS, read_examples
from gnnscale.config import Settings, build_settings
from gnnscale.evaluation.blend.candidate_pool import Values
from gnnscale.evaluation.blend.repeats import share_of_repeats
from gnnscale.evaluation.comparison import Part
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery, Split
from gnnscale.retrieval import read_history
from gnnscale.store import GraphStore
from gnnscale.training import Hear, LinkPredictor, fit_at_once, load_link_model, model_bytes, trees_path

TREES: Final = "boosted_trees"
"""The method's name, as of node-level tasks."""

MOST_ENTITIES: Final = 50_000
"""Entities of the predictions: a core ranks some 50 a second."""

AT_ONCE: Final = 4_096
"""Entities whose candidates have their features in memory at once."""

BESIDE_ROWS: Final = 500_000
"""Candidates that trees beside a network learn from."""

BESIDE: Final[dict[str, dict[str, Any]]] = {
    "model": {"network": "trees"},
    "training": {
        "loss": "auto",
        "source": "memory",
        "sampler": "cpu",
        "feature_type": "fp32",
        "cuda_graphs": False,
        "workers": 1,
        "max_workers": None,
    },
    "sampling": {"strategy": "uniform"},
    "embedding": {"method": "sampled", "only_changed": False},
    "search": {"space": {}},
}
"""What trees can't take from the network's configuration."""


def grow_trees(settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, hear: Hear) -> str:
    """Grow the trees of a query, and keep them beside its network.

    Args:
        settings: of the network; ``model.trees`` counts.
        lake: holds the labels.
        store: of the graph.
        query: bound query of a link task.
        hear: called with progress; see :func:`gnnscale.training.fit_at_once`.

    Returns:
        Why none are grown; empty where they are.
    """
    path = trees_path(settings.query.name)
    # Those of an earlier configuration are not of this model.
    lake.remove_folder(path.rpartition("/")[0])
    why = _why_not(settings, lake, store, query)
    if not why:
        outcome = fit_at_once(_beside(settings), lake, store, query, hear)
        lake.write_bytes(path, model_bytes(outcome))
    return why


def _why_not(settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery) -> str:
    if not settings.model.trees.beside:
        return "model.trees.beside=true grows them"
    if settings.model.network == "trees":
        return "they are the model"
    if settings.training.source != "memory":
        return f"they need the graph in memory, and training.source={settings.training.source}"
    if query.is_static:
        return "their features are of a time, and the events of a query without a window have none"
    if (count := store.node_count(query.entity.name)) > MOST_ENTITIES:
        return f"{count:,} {query.entity.name} are more than the {MOST_ENTITIES:,} that they can rank in time"
    origin = store.manifest.origin
    anchors = read_examples(lake, settings.query.name, Split.VALIDATION, origin).anchors
    if not len(anchors):
        return "no validation examples would tell when to stop"
    repeats = share_of_repeats(read_history(store, query, int(anchors.min()) + origin))
    if repeats < FEW_REPEATS:
        return f"{repeats:.1%} of the events repeat an earlier one, and they rank what was had"
    return ""


def _beside(settings: Settings) -> Settings:
    """The configuration of trees that cost less than the network beside them."""
    content = settings.model_dump(mode="json")
    for section, values in BESIDE.items():
        content[section].update(values)
    content["model"]["trees"].update(seeds=1, max_rows=min(settings.model.trees.max_rows, BESIDE_ROWS))
    return build_settings(content)


class GrownTrees:
    """Candidates by trees that :func:`grow_trees` has kept.

    Args:
        settings: of the network.
        lake: holds the trees.
        store: of the graph.
        held_out: by the trees that have not seen the validation examples, to be judged by them.
    """

    def __init__(self, settings: Settings, lake: Lake, store: GraphStore, held_out: bool = False) -> None:
        self._settings, self._lake, self._store, self._held_out = settings, lake, store, held_out
        self._origin = store.manifest.origin

    @property
    def there(self) -> bool:
        """Whether trees were kept."""
        return self._lake.has_file(trees_path(self._settings.query.name))

    @cached_property
    def _predictor(self) -> LinkPredictor:
        content = self._lake.read_bytes(trees_path(self._settings.query.name))
        return load_link_model(
            _beside(self._settings), self._lake, self._store, content=content, held_out=self._held_out
        )

    def candidates(
        self, anchor: int, entities: Ids, depth: int, past: Ragged | None = None, among: Part = "all"
    ) -> tuple[Ids, Values]:
        """Candidates of some entities with their scores.

        Args:
            anchor: epoch seconds.
            entities: node ids, int64 ``[N]``.
            depth: most candidates an entity.
            past: what each of the N entities has had, where it counts.
            among: all candidates, or those that the entity has had (``repeat``) or has not (``explore``).

        Returns:
            Targets, int64 ``[N, depth]``, best first, ties to the smaller, -1 where a list ends early; and their
            scores, float32, -inf where there is no target.
        """
        ids = np.full((len(entities), depth), -1, np.int64)
        scores = np.full((len(entities), depth), -np.inf, np.float32)
        for start in range(0, len(entities), AT_ONCE):
            part = np.arange(start, min(len(entities), start + AT_ONCE))
            batch = self._predictor.entity_batch(entities[part], anchor - self._origin)
            found = self._predictor.score_entities(batch)
            row = np.repeat(np.arange(len(part)), found.counts)
            targets, values = found.targets.astype(np.int64), found.scores
            if past is not None and among != "all":
                kept = _had(past.take(part), row, targets) == (among == "repeat")
                row, targets, values = row[kept], targets[kept], values[kept]
            order = np.lexsort((targets, -values, row))
            row, targets, values = row[order], targets[order], values[order]
            place = np.arange(len(row)) - np.searchsorted(row, row)
            kept = place < depth
            ids[part[row[kept]], place[kept]] = targets[kept]
            scores[part[row[kept]], place[kept]] = values[kept]
        return ids, scores


def _had(past: Ragged, row: Ids, targets: Ids) -> Flags:
    """Which pairs of a row and a target are in the past of that row, bool ``[pairs]``."""
    most = int(max(past.values.max(initial=0), targets.max(initial=0))) + 1
    found: Flags = np.isin(row * most + targets, past.row_of_value * most + past.values)
    return found
