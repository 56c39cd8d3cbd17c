"""The gate of a registered model: whether the new version becomes the champion, on the holdout that there is now."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from gnnscale.config import Settings
from gnnscale.evaluation import (
    TREES,
    BlendedAnswerModel,
    BlendedRankingModel,
    Holdout,
    HoldoutResult,
    Judgment,
    judge,
)
from gnnscale.inference import AnswerModel, KeptModel
from gnnscale.query import PredictiveQuery
from gnnscale.schema import GnnscaleError, mask_text
from gnnscale.tracking import RESULT, Run, find_champion, read_result, set_alias

log = logging.getLogger(__name__)


def result_of(
    uri: str, holdout: Holdout, digest: str, query: PredictiveQuery, settings: Settings
) -> HoldoutResult | str:
    """How a registered model does on a holdout that it was not evaluated on, or in a few words why nobody can tell.

    Args:
        uri: of the model.
        holdout: the examples.
        digest: see :func:`gnnscale.evaluation.holdout_digest`.
        query: bound query.
        settings: of the run; where its lake is, and how it is opened, count.
    """
    if query.pseudo_timed_tables:
        return "it was evaluated on another holdout, and links without times have no anchor to ask it at"
    try:
        kept = KeptModel.read(uri, settings.lake)
        if kept.settings.query.text != query.text:
            return f"it answers another question: {kept.settings.query.text}"
        links, members = query.task_type.predicts_links, (kept.blend or {}).get("members", ())
        if links and TREES in {member["name"] for member in members}:
            return "it was evaluated on another holdout, and the trees of its blend are not kept with it"
        model = BlendedRankingModel() if links else BlendedAnswerModel()
        model.open(kept.settings, kept.weights, blend=kept.blend)
        if isinstance(model, AnswerModel) and not holdout.has_classes(model.predictor.knowledge.shape.classes):
            return "it was evaluated on another holdout, and its classes are not those of the labels now"
        answers = model.answers_at(*holdout.asked)
        return HoldoutResult.of(holdout.judge(answers, query, model.lake), digest, holdout.since)
    except Exception as error:
        # Somebody's model of another day: whatever is wrong with it is no fault of the one that was trained.
        log.warning("%s can't be asked: %s", uri, mask_text(str(error)), exc_info=not isinstance(error, GnnscaleError))
        return f"it was evaluated on another holdout, and can't be on this one: {mask_text(str(error))}"


def keep_result(
    run: Run,
    result: HoldoutResult,
    model: str | None,
    version: str | None,
    champion_here: Callable[[str], HoldoutResult | str],
) -> str | None:
    """Keep how a model did with its run, and make its version the champion or the challenger of the registered model.

    Args:
        run: of the training.
        result: of the model on the holdout.
        model: registered name; None where it is not registered.
        version: of the registered model.
        champion_here: the result of the model of a URI on this holdout, or why there is none; asked where the champion
            was evaluated on another one, as when new rows have come.

    Returns:
        What it has become and why, in one line; None where it is not registered.
    """
    champion = find_champion(model) if model else None
    before = None if champion is None else read_result(champion)
    run.log_text(json.dumps(result.to_dict()), RESULT)
    if model is None or version is None:
        return None
    if champion is not None and champion.run_id == run.run_id:
        judged = Judgment("champion", "the run's model was that before")
    else:
        known = None if before is None else HoldoutResult.from_dict(before)
        judged = _judge(result, known, lambda: champion_here(f"models:/{model}@champion"))
    figure = f"{result.metric.name}={result.value:.6g}"
    tags = {"gnnscale.holdout": result.holdout, "gnnscale.result": figure, "gnnscale.judgment": judged.reason}
    set_alias(model, version, judged.alias, tags)
    return f"version {version} of {model} is the {judged.alias}: {judged.reason}"


def _judge(
    result: HoldoutResult, champion: HoldoutResult | None, champion_here: Callable[[], HoldoutResult | str]
) -> Judgment:
    """What becomes of a new model beside the champion, which is asked on this holdout where it was not before."""
    here: HoldoutResult | str | None = champion
    if champion is not None and champion.holdout != result.holdout:
        # Its labels end where its own holdout begins.
        learned = champion.since is None or result.since is None or result.since < champion.since
        here = "it may have learned from this holdout" if learned else champion_here()
    if isinstance(here, str):
        return Judgment("challenger", f"the champion can't be held against: {here}")
    return judge(result, here)
