"""The configuration of recipes that judge the sequence network by the last item of each user: no tables, no query."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gnnscale.config.sections.interaction_recipe import ColumnNames, InteractionSettings
from gnnscale.config.sections.section import Positive, Section
from gnnscale.config.sections.settings import LakeSettings, QuerySettings, Settings, TrackingSettings
from gnnscale.config.sections.training import ModelSettings, TrainingSettings


class SequenceRecipeSettings(Section):
    """A recipe of the leave-last-out protocol.

    Args:
        kind: tells such recipes from others.
        recipe: its name.
        seed: of all draws.
        source: file or folder of ``user item [time]``, as in :class:`InteractionSettings`; rows of a user are taken in
            order of time, without one in the order of the file.
        columns: which columns are which; epoch seconds and dates tell the gaps between actions too, other numbers of
            ``time`` their order alone. With ``split``, users without a validation or a test row train alone; without,
            the last row of a user is the test's, the one before the validation's.
        users: most of them that are evaluated, by a keyed order; default: all.
        seen: whether items that the user has had are ranked too.
        negatives: unseen items that the sampled metrics rank the right one among.
        length: of the lists.
        resamples: of the users, for intervals.
        model, training: of the network.
    """

    kind: Literal["sequences"]
    recipe: str
    seed: int = 0
    lake: LakeSettings
    tracking: TrackingSettings = TrackingSettings()
    source: str
    columns: ColumnNames = ColumnNames()
    users: Positive | None = None
    seen: bool = False
    negatives: Annotated[int, Field(ge=0)] = 100
    length: Positive = 10
    resamples: Positive = 1000
    model: ModelSettings = ModelSettings(network="sequence")
    training: TrainingSettings = TrainingSettings()

    def of_source(self) -> InteractionSettings:
        """How its source is read."""
        return InteractionSettings(
            kind="interactions", recipe=self.recipe, lake=self.lake, source=self.source, columns=self.columns
        )

    def of_training(self) -> Settings:
        """What the training loop and the network take.

        Raises:
            ConfigError: the network has no use for a key.
        """
        query = QuerySettings(name="next_item", text="")
        return Settings(
            recipe=self.recipe,
            seed=self.seed,
            lake=self.lake,
            tables={},
            query=query,
            model=self.model,
            training=self.training,
        )
