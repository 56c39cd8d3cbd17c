"""Everything that can be set, as frozen data that is checked when it is built."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from gnnscale.config.relations import RelationSettings, declared_relations
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


class WalkSettings(Section):
    """Random walks, which tell how important nodes are to a seed by how often they visit them.

    Args:
        cycle: names of edge types in the order in which they are walked.
        number: walks from each seed.
        length: steps of a walk; default: once around the cycle.
        top: most visited nodes that count.
        step: an edge at random, or ``weighted`` by its weight.
        restart: chance that a walk which has gone around the cycle goes on from its seed.
    """

    cycle: Annotated[tuple[str, ...], Field(min_length=1)]
    number: Positive = 200
    length: Positive | None = None
    top: Positive = 50
    step: Literal["uniform", "weighted"] = "uniform"
    restart: Probability = 0.0


class SamplingSettings(Section):
    """Temporal neighborhoods: per hop, how many neighbors along each link; left out, every link is followed.

    Args:
        strategy: which neighbors, where there are more: the ``last``, a ``uniform`` choice, or one ``weighted`` by the
            edges' weights, which is uniform along links that have none.
        entity_hops, target_hops: link name -> fan-out, one mapping a hop, around entities and around targets.
        cap: only the latest so many edges of a node count; at least the largest fan-out.
        threads: that share a batch; the sample is the same whatever their number.
        walks: of strategy ``walk``, which ``model.network: blocks`` has in the place of fan-outs: the nodes that walks
            from an entity visit most, weighed by their visits.
    """

    strategy: Literal["uniform", "last", "weighted", "walk"] = "last"
    walks: WalkSettings | None = None
    entity_hops: tuple[dict[str, Positive], ...] = ()
    target_hops: tuple[dict[str, Positive], ...] = ()
    cap: Positive | None = None
    threads: Positive = 1

    @property
    def neighbors(self) -> Literal["uniform", "last", "weighted"]:
        """The strategy, where fan-outs are followed.

        Raises:
            ConfigError: it is ``walk``.
        """
        if self.strategy == "walk":
            raise ConfigError("sampling.strategy=walk follows no fan-outs; allowed here: last, uniform, weighted")
        return self.strategy


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
        network: ``auto`` for these, or ``blocks`` for convolutions on sampled blocks of fixed shape.
        channels: of an encoded event.
        hidden: of the pair branch, and of the entity network's head.
        tower_channels: of a tower vector.
        feature_channels, id_channels: of a target's columns and of its own embedding in the pair branch.
        latest: rows of one parent that the entity network encodes one by one; all that are sampled go into sums.
        dropout: probability.
        siblings: categorical columns of the target; candidates with the same value lend each other their events.
        target_embedding: what a target is known by: ``lookup`` of an embedding of its own, ``feature`` for its columns,
            ``fusion`` for both.
        sharded_lookup_rows: targets from which on the embeddings of ``lookup`` are shared out to the workers by row;
            a step then costs what it looks up, learned by row-wise Adagrad.
        new_targets: whether targets that no training example names are ranked too; false leaves them to the pair
            branch alone.
    """

    network: Literal["auto", "blocks"] = "auto"
    channels: Positive = 48
    hidden: Positive = 128
    tower_channels: Positive = 48
    feature_channels: Positive = 24
    id_channels: Positive = 16
    latest: Positive = 128
    dropout: Probability = 0.1
    siblings: tuple[str, ...] = ()
    target_embedding: Literal["lookup", "feature", "fusion"] = "fusion"
    sharded_lookup_rows: Positive = 5_000_000
    new_targets: bool = True


class TrainingSettings(Section):
    """Optimisation and where it runs.

    Args:
        batch_size: examples a step over all workers together.
        max_examples: most examples an epoch of an entity task; of more, each epoch takes another sample.
        loss: of an entity task; ``auto`` fits the task.
        schedule: of the learning rate after the warm-up: ``cosine`` or ``linear`` down to a hundredth, ``constant``,
            ``step`` to a tenth at half and at three quarters, or ``inverse_sqrt`` of the step.
        warmup_steps: steps over which the learning rate rises.
        source: of the blocks of ``model.network: blocks``: sampled in ``memory``, or ``shards`` of the shards stage,
            with features.
        negatives: targets sampled for the softmax over all targets, by popularity to ``negative_power``.
        negative_strategy: ``shared`` by a batch, ``in_batch`` for the targets of its other examples; and with
            ``model.network: blocks`` ``popularity`` and ``uniform`` for each example apart, or ``hard``: what walks
            from its target visit often, but not most.
        hard_walks, hard_ranks: of hard negatives: walks from a target to targets, and from which rank of visits to
            which.
        rank_depth: places of an example's ranking that the pairwise loss looks at.
        average_decay: of the exponential average of the weights, which is what is validated and kept.
        clip_norm: largest norm of the gradient.
        micro_batches: parts that a process takes its share of a batch in, one after the other, to need less memory;
            the gradient is that of the whole.
        precision: of the network's arithmetic; ``bf16`` where layers bear it (autocast), weights stay ``fp32``.
        compile: whether the network goes through ``torch.compile``, which takes a while and a C++ compiler on the CPU.
        cuda_graphs: whether what is compiled is replayed as CUDA graphs, which want batches of fixed shape.
        sampler: where blocks are sampled: ``gpu``, ``cpu``, or ``auto`` for the device that trains.
        feature_type: that features of blocks are stored in on a GPU.
        ahead: batches that a thread of its own samples and gathers before the network asks for them; default: 2 beside
            a GPU, and for ``model.network: blocks`` where a worker has two cores; else none, and the network takes all.
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
    schedule: Literal["cosine", "linear", "constant", "step", "inverse_sqrt"] = "cosine"
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    source: Literal["memory", "shards"] = "memory"
    negatives: Positive = 1024
    negative_strategy: Literal["shared", "in_batch", "popularity", "uniform", "hard"] = "shared"
    hard_walks: WalkSettings | None = None
    hard_ranks: tuple[int, int] = (20, 50)
    negative_power: Share = 0.75
    rank_depth: Positive = 1000
    average_decay: Probability = 0.99
    clip_norm: Annotated[float, Field(gt=0)] = 2.0
    micro_batches: Positive = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    cuda_graphs: bool = False
    sampler: Literal["auto", "cpu", "gpu"] = "auto"
    feature_type: Literal["fp32", "fp16", "bf16", "int8"] = "fp32"
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


class RetrievalSettings(Section):
    """Search among all target rows: entities a batch, and how many rows the index is asked for at first."""

    batch_size: Positive = 256
    depth: Positive = 100


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
    retrieval: RetrievalSettings = RetrievalSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="after")
    def _fits_the_network(self) -> Self:
        if self.model.network == "blocks":
            return self
        for name, value, allowed in (
            ("sampling.strategy", self.sampling.strategy, ("last", "uniform", "weighted")),
            ("training.negative_strategy", self.training.negative_strategy, ("shared", "in_batch")),
            ("training.source", self.training.source, ("memory",)),
        ):
            if value not in allowed:
                known = ", ".join(allowed)
                raise ConfigError(f"{name}={value} is for model.network=blocks; without it, allowed: {known}")
        return self

    @field_validator("relations")
    @classmethod
    def _consistent(cls, value: dict[str, RelationSettings]) -> dict[str, RelationSettings]:
        declared_relations(value)
        return value
