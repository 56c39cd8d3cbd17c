"""The configuration of recipes over a matrix of users and items alone: no tables, no query."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from gnnscale.config.implementation import Implementation
from gnnscale.config.sections.section import Positive, Section, Share, TableName
from gnnscale.config.sections.settings import LakeSettings, TrackingSettings

SplitRule = Literal["auto", "given", "time", "latest", "random"]
"""How held-out interactions are chosen."""


class ColumnNames(Section):
    """Which columns of the source are which; by default they are found by their names, or by their places.

    Args:
        user, item: keys.
        rating: how much an interaction counts; above 0.
        time: a time, or a number that grows with it.
        split: names the part of each row: ``test``; ``validation``, ``valid`` or ``dev``; all else is for training.
        behavior: type of each event, where ``behaviors`` gives weights to them.
    """

    user: str | None = None
    item: str | None = None
    rating: str | None = None
    time: str | None = None
    split: str | None = None
    behavior: str | None = None


class InteractionSettings(Section):
    """A recipe of interactions.

    Args:
        kind: tells such recipes from those of a graph and a query.
        recipe: its name.
        name: of the tables that it writes.
        seed: of all draws.
        seeds: how often methods that draw are fitted, with one seed after the other; their figures are means.
        source: file or folder: Parquet, CSV and other text with user, item and perhaps rating and time; ``.npz`` with a
            sparse matrix; lists as in the papers' ``train.txt``, a user and then the user's items a line. A folder with
            ``train`` and ``test`` files, and perhaps ``validation``, is a given split.
        test_source: file of the test part, where ``source`` has the training part alone.
        columns: which columns are which.
        min_rating: rows with less are left out.
        use_ratings: whether ratings weigh interactions; by default all weigh the same.
        behaviors: weight of each type of event, summed for each pair; a sum below 0 counts as 0.
        targets: types of events that are to be foretold; by default all with a weight above 0.
        split: ``given`` by a column or by files; ``time``, the latest share of all events; ``latest``, that of each
            user; ``random``, a share of each user's drawn. ``auto`` takes the first of given, time and random that
            there is.
        test_share: of the interactions, that are held out.
        validation_share: of the rest, on which settings are chosen.
        metrics: of lists, the headline first.
        top: length of the lists that are written.
        methods: recommenders that are compared; by default all that fit the size.
        tune: whether each method's settings are chosen on validation; without, they are as given.
        tuning_pairs: pairs that trials of settings are fitted to; of more, those of so many users as have about as many
            are drawn. What is chosen is then fitted to all, for the weights of the mix.
        tuning_users: users whose validation lists are looked at; of more, so many are drawn.
        test_users: users whose test lists are judged; of more, so many are drawn.
        exploration: share of the places of each list that are given to items drawn at random.
    """

    kind: Literal["interactions"]
    recipe: str
    name: TableName = "interactions"
    seed: int = 0
    seeds: Positive = 1
    lake: LakeSettings
    tracking: TrackingSettings = TrackingSettings()
    source: str
    test_source: str | None = None
    columns: ColumnNames = ColumnNames()
    min_rating: float | None = None
    use_ratings: bool = False
    behaviors: dict[str, float] = Field(default_factory=dict)
    targets: tuple[str, ...] = ()
    split: SplitRule = "auto"
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = ("recall@20", "ndcg@20", "map@10")
    top: Positive = 20
    methods: tuple[Implementation, ...] = ()
    tune: bool = True
    tuning_pairs: Positive = 2_000_000
    tuning_users: Positive = 10_000
    test_users: Positive = 100_000
    exploration: Share = 0.0

    @field_validator("targets")
    @classmethod
    def _known(cls, value: tuple[str, ...], info) -> tuple[str, ...]:  # type: ignore[no-untyped-def]
        behaviors = info.data.get("behaviors", {})
        if strange := [name for name in value if name not in behaviors]:
            raise ValueError(f"{strange[0]} is none of behaviors, which are {', '.join(behaviors) or 'not given'}")
        return value
