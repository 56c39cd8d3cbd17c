"""Everything that can be set, as frozen data that is checked when it is built."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from gnnscale.config.relations import RelationSettings, declared_relations
from gnnscale.config.retrieval import RetrievalSettings
from gnnscale.config.section import Positive, Probability, Section, Share
from gnnscale.query.anchors import epoch_seconds
from gnnscale.schema import ColumnType, ConfigError


class LakeSettings(Section):
    """Where tables are written; ``cache`` holds the memory-mapped graph, by default inside a local lake."""

    uri: str
    storage_options: dict[str, str] = Field(default_factory=dict)
    cache: str | None = None


class SparkSettings(Section):
    """The Spark session; ``auto`` follows the machine, and ``spark-submit`` has the last word."""

    master: str = "local[*]"
    driver_memory: str = "auto"
    shuffle_partitions: Literal["auto"] | Positive = "auto"
    conf: dict[str, str] = Field(default_factory=dict)


class ColumnSettings(Section):
    """What a column means, as its type alone (``tags: multicategorical``) or with options.

    Args:
        type: its meaning.
        separator: stands between the values of a multicategorical text column; default: a comma.
    """

    type: ColumnType
    separator: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_type(cls, value: Any) -> Any:
        return value if isinstance(value, dict | ColumnSettings) else {"type": value}

    @model_validator(mode="after")
    def _check_separator(self) -> Self:
        if self.separator and self.type is not ColumnType.MULTICATEGORICAL:
            raise ValueError(f"only a multicategorical column has a separator, and this one is {self.type}")
        return self


class TableSettings(Section):
    """One raw table; see :class:`gnnscale.schema.Table`."""

    source: str
    primary_key: str | None = None
    time_column: str | None = None
    columns: dict[str, ColumnSettings] = Field(default_factory=dict)
    foreign_keys: dict[str, str] = Field(default_factory=dict)
    keys_from: tuple[str, ...] = ()
    time_from: str | None = None
    end_time: str | None = None
    display: tuple[str, ...] = ()


class ChecksSettings(Section):
    """What the rows must keep to for a graph to be built of them, as shares; by default anything goes.

    Args:
        min_match_rate: least share of a link's rows with a key whose key matches a parent; default:
            ``graph.min_match_rate``.
        min_parent_match_rate: least share of a link's parents that at least one row names.
        max_null_rate: most rows of a link without a key.
        max_duplicate_rate: most rows of a table without a primary key that repeat another in every column.
        max_isolated_rate: most rows of a table with a primary key that no link joins with another row.
        max_out_of_range_rate: most rows of a table whose time is outside ``graph.time_range``.
    """

    min_match_rate: Share | None = None
    min_parent_match_rate: Share = 0.0
    max_null_rate: Share = 1.0
    max_duplicate_rate: Share = 1.0
    max_isolated_rate: Share = 1.0
    max_out_of_range_rate: Share = 1.0


class TextSettings(Section):
    """How text columns become vectors.

    Args:
        encoder: ``hashed`` counts words, pairs of words and letter triples; ``sentence_transformers`` runs a language
            model.
        model: of sentence_transformers: a folder that every executor sees, or ``package://<package>/<path>`` of an
            installed package that carries one. Nothing is downloaded.
        dims: length of the vectors; ``auto`` takes 128, or what the model gives. Of a longer model, the first ones.
        batch_size: texts that a model reads at once.
    """

    encoder: Literal["hashed", "sentence_transformers"] = "hashed"
    model: str | None = None
    dims: Literal["auto"] | Positive = "auto"
    batch_size: Positive = 64

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        if (self.model is None) != (self.encoder == "hashed"):
            raise ValueError("encoder sentence_transformers needs a model, and hashed has none")
        return self


class GraphSettings(Section):
    """Graph build.

    Args:
        min_match_rate: least share of keyed rows that must match a parent.
        checks: what else the rows must keep to.
        time_range: first and last time that a row should have; rows outside are counted, not left out.
        max_categories: categories kept in each column.
        fit_until: statistics of the columns count rows up to this time; default: the last fifth of the time that the
            facts span is left out. Set it to the validation anchor of the query that matters most.
        text: how text columns become vectors.
    """

    min_match_rate: Share = 0.5
    checks: ChecksSettings = ChecksSettings()
    time_range: tuple[datetime, datetime] | None = None
    max_categories: Positive = 10_000
    fit_until: datetime | None = None
    text: TextSettings = TextSettings()

    @field_validator("time_range")
    @classmethod
    def _in_order(cls, value: tuple[datetime, datetime] | None) -> tuple[datetime, datetime] | None:
        if value and epoch_seconds(value[0]) > epoch_seconds(value[1]):
            raise ConfigError(f"it ends at {value[1]}, before it begins at {value[0]}")
        return value


class QuerySettings(Section):
    """A predictive query and the name that its tables carry."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    text: str


class AnchorSettings(Section):
    """Anchor times; what is left out follows from the data and the query's windows.

    Args:
        test: anchor of the test window; default: the last midnight whose window ends inside the data.
        validation: anchor of the validation window; default: whole steps before ``test``, its window ended by then.
        step_days: days between anchors; default: the end of the window.
        train: most training anchors, counted back from the validation window.
        start, end: earliest and latest training anchor.
        latest: anchor of the predictions; default: midnight at the end of the last day that has events.
    """

    test: datetime | None = None
    validation: datetime | None = None
    step_days: Positive | None = None
    train: Positive = 26
    start: datetime | None = None
    end: datetime | None = None
    latest: datetime | None = None


class SamplingSettings(Section):
    """Temporal neighborhoods: per hop, how many neighbors along each link; left out, every link is followed.

    Args:
        strategy: which neighbors, where there are more: the ``last``, a ``uniform`` choice, or one ``weighted`` by the
            edges' weights, which is uniform along links that have none.
        entity_hops, target_hops: link name -> fan-out, one mapping a hop, around entities and around targets.
        cap: only the latest so many edges of a node count; at least the largest fan-out.
    """

    strategy: Literal["uniform", "last", "weighted"] = "last"
    entity_hops: tuple[dict[str, Positive], ...] = ()
    target_hops: tuple[dict[str, Positive], ...] = ()
    cap: Positive | None = None


class ShardSettings(Section):
    """Pre-sampled subgraphs; fan-outs, strategy and cap are those of ``sampling``.

    Args:
        file_mb: size of a file's arrays before compression, in MiB.
        tile_edges: edges that a task holds while it samples, where one node has no more.
        epoch: part of the sampling key; shards of another epoch hold another sample.
        features: whether the encoded columns of every sampled node are copied in.
    """

    file_mb: Positive = 128
    tile_edges: Positive = 4_194_304
    epoch: Annotated[int, Field(ge=0)] = 0
    features: bool = False


class ModelSettings(Section):
    """The two-branch network of link tasks, and the entity network of the others.

    Args:
        channels: of an encoded event.
        hidden: of the pair branch, and of the entity network's head.
        tower_channels: of a tower vector.
        feature_channels, id_channels: of a target's columns and of its own embedding in the pair branch.
        latest: rows of one parent that the entity network encodes one by one; all that are sampled go into sums.
        dropout: probability.
        siblings: categorical columns of the target; candidates with the same value lend each other their events.
        target_embedding: what a target is known by: ``lookup`` of an embedding of its own, ``feature`` for its columns,
            ``fusion`` for both.
        new_targets: whether targets that no training example names are ranked too; false leaves them to the pair
            branch alone.
    """

    channels: Positive = 48
    hidden: Positive = 128
    tower_channels: Positive = 48
    feature_channels: Positive = 24
    id_channels: Positive = 16
    latest: Positive = 128
    dropout: Probability = 0.1
    siblings: tuple[str, ...] = ()
    target_embedding: Literal["lookup", "feature", "fusion"] = "fusion"
    new_targets: bool = True


class TrainingSettings(Section):
    """Optimisation and where it runs.

    Args:
        batch_size: examples a step over all workers together.
        max_examples: most examples an epoch of an entity task; of more, each epoch takes another sample.
        loss: of an entity task; ``auto`` fits the task.
        warmup_steps: steps over which the learning rate rises; it then falls along a cosine.
        negatives: targets sampled a step for the softmax over all targets, by popularity to ``negative_power``.
        rank_depth: places of an example's ranking that the pairwise loss looks at.
        average_decay: of the exponential average of the weights, which is what is validated and kept.
        clip_norm: largest norm of the gradient.
        micro_batches: parts that a process takes its share of a batch in, one after the other, to need less memory;
            the gradient is that of the whole.
        precision: of the network's arithmetic; ``bf16`` where layers bear it (autocast), weights stay ``fp32``.
        ahead: batches that a thread of its own samples and gathers before the network asks for them; default: 2 beside
            a GPU, none on the CPU, whose cores the network takes.
        patience: validations without a better one after which training stops.
        workers: Ray Train workers; each takes a GPU where there are enough.
        max_workers: where given, ``workers`` is the least, and training takes as many up to this as the cluster has
            room for, and changes when it does; the global batches stay as they are.
        max_failures: lost workers after which training gives up.
        resize_seconds: how often a cluster is asked for room for more workers, where their number may change.
        checkpoint_steps: steps after which the state is kept, at the next tenth one, beside each epoch's end; 0 for
            the ends alone.
    """

    epochs: Positive = 3
    batch_size: Positive = 128
    max_examples: Positive = 200_000
    loss: Literal["auto", "l1", "l2", "huber", "bce", "focal", "cross_entropy"] = "auto"
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    negatives: Positive = 1024
    negative_power: Share = 0.75
    rank_depth: Positive = 1000
    average_decay: Probability = 0.99
    clip_norm: Annotated[float, Field(gt=0)] = 2.0
    micro_batches: Positive = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    ahead: Annotated[int, Field(ge=0)] | None = None
    patience: Positive = 3
    workers: Positive = 2
    max_workers: Positive | None = None
    gpu: Literal["auto", "yes", "no"] = "auto"
    max_failures: Annotated[int, Field(ge=0)] = 1
    resize_seconds: Positive = 60
    checkpoint_steps: Annotated[int, Field(ge=0)] = 200

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.max_workers is not None and self.max_workers < self.workers:
            raise ConfigError(f"max_workers is {self.max_workers}, less than workers, {self.workers}")
        return self


class SearchSettings(Section):
    """A search over configurations, each trained by Ray Tune and stopped early where others are better.

    Args:
        space: dotted key of section ``sampling``, ``model`` or ``training`` -> values to try; a list in the place of a
            single value of those sections comes here by itself.
        trials: most configurations that are tried.
        examples: most training examples an epoch of a trial.
        parallel: trials that train at once; ``auto`` takes one a core.
    """

    space: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    trials: Positive = 8
    examples: Positive = 20_000
    parallel: Literal["auto"] | Positive = "auto"


class EmbeddingSettings(Section):
    """The sweep that writes embeddings.

    Args:
        workers: processes that share it, by Ray where they are more than one; ``auto`` takes one for a small lake, else
            one a GPU or, where ``training.gpu`` finds none, one a core. More than there are GPUs share them.
        partition_rows: nodes of a file, which is what a run that was killed loses at most, a worker.
        batch_size: entities that go through the network at once.
        max_failures: lost workers after which the sweep gives up.
        only_changed: whether nodes of which nothing that the model reads has changed since the last sweep with the same
            model and anchor keep their rows.
    """

    workers: Literal["auto"] | Positive = "auto"
    partition_rows: Positive = 65_536
    batch_size: Positive = 256
    max_failures: Annotated[int, Field(ge=0)] = 3
    only_changed: bool = False


class EvaluationSettings(Section):
    """Offline evaluation: bootstrap resamples, and entities that the report shows."""

    resamples: Positive = 1000
    half_life_days: Positive = 90
    popularity_days: Positive = 30
    examples: Annotated[int, Field(ge=0)] = 5


class TrackingSettings(Section):
    """MLflow: default is an SQLite store inside a local lake."""

    uri: str | None = None
    experiment: str = "gnnscale"
    register_as: str | None = None


class Settings(Section):
    """The whole configuration of a recipe."""

    recipe: str
    seed: int = 0
    lake: LakeSettings
    tables: dict[str, TableSettings]
    query: QuerySettings
    sampling: SamplingSettings = SamplingSettings()
    shards: ShardSettings = ShardSettings()
    spark: SparkSettings = SparkSettings()
    graph: GraphSettings = GraphSettings()
    relations: dict[str, RelationSettings] = Field(default_factory=dict)
    anchors: AnchorSettings = AnchorSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    search: SearchSettings = SearchSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    tracking: TrackingSettings = TrackingSettings()

    @field_validator("relations")
    @classmethod
    def _consistent(cls, value: dict[str, RelationSettings]) -> dict[str, RelationSettings]:
        declared_relations(value)
        return value
