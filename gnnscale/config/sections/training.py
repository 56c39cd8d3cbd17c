"""Settings of the networks, of their training, of the hyperparameter search and of batch inference."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from gnnscale.config.implementation import Implementation, check_implementation
from gnnscale.config.sections.graph_networks import LightGCNSettings, PinSageSettings
from gnnscale.config.sections.sampling import WalkSettings
from gnnscale.config.sections.section import Positive, Probability, Section, Share
from gnnscale.config.sections.sequence import SequenceSettings
from gnnscale.schema import CONVOLUTIONS, LOSSES, NEGATIVES, SEQUENCE_OBJECTIVES, ConfigError


class TreesSettings(Section):
    """Boosted trees, of ``model.network: trees``.

    Args:
        rounds: most trees (of several classes: of each); the validation examples stop them earlier.
        patience: trees without a smaller loss on the validation examples after which growth stops.
        learning_rate: what each tree adds.
        leaves: of a tree.
        min_rows: least training rows of a leaf.
        columns: share of the features that a tree sees.
        rows: share of the training rows that a tree sees.
        l2: penalty of squared leaves.
        bins: that a feature's values are cut into.
        refit: whether the trees that are kept are grown again, as many as the validation examples have told, on these
            examples too: they are the latest that there are.
        seeds: how often they are grown again, each time by another seed; answers are the mean.
        max_rows: training rows (for rankings: candidates) that are kept in memory; of more, a sample is taken.
        own, new: of rankings: most targets that are scored for an entity, of those that it has had, and of others.
        own_negatives, new_negatives: of rankings: most of each kind that are learned from beside those that came true.
        beside: whether trees are grown beside another network of links, too, for its blend and to be compared with.
    """

    rounds: Positive = 1000
    patience: Positive = 50
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    leaves: Annotated[int, Field(ge=2)] = 15
    min_rows: Positive = 100
    columns: Annotated[float, Field(gt=0, le=1)] = 0.2
    rows: Annotated[float, Field(gt=0, le=1)] = 0.7
    l2: Annotated[float, Field(ge=0)] = 5.0
    bins: Annotated[int, Field(ge=2, le=255)] = 127
    refit: bool = True
    seeds: Positive = 2
    max_rows: Positive = 2_000_000
    own: Positive = 1000
    new: Positive = 200
    own_negatives: Positive = 100
    new_negatives: Positive = 40
    beside: bool = False


class ModelSettings(Section):
    """The network and its widths.

    Args:
        network: ``two_branch`` for links, ``neighborhood`` for node-level tasks, ``blocks`` for convolutions on sampled
            blocks of fixed shape, for both, ``sequence`` for links by an entity's actions in their order, ``pinsage``
            for rows of one table that are ranked for each other, by what random walks reach from them, ``lightgcn`` for
            links by vectors of entities and targets that are smoothed over the graph of both, ``trees`` for boosted
            trees on point-in-time features, for both, or another that is registered; ``auto`` is the first or the
            second.
        convolution: of blocks: GraphSAGE with ``mean``, ``sum`` or ``max`` of the neighbors, ``attention`` over them,
            ``importance`` pooling by their weights, or another that is registered; by name, or as a mapping of ``name``
            and options such as ``heads``. ``auto`` is importance pooling on walks, and the mean on fan-outs.
        channels: of an encoded event.
        hidden: of the pair branch, of the neighborhood network's head, and of blocks.
        tower_channels: of a tower vector.
        feature_channels, id_channels: of a target's columns and of its own embedding in the pair branch; on blocks the
            former is of what a node's categories add to its numbers and vectors.
        latest: rows of one parent that the neighborhood network encodes one by one; all that are sampled go into sums.
        features: whether the neighborhood network has the point-in-time features that trees have as inputs, too.
        dropout: probability.
        group_columns: categorical columns of the target; candidates with the same value lend each other their events.
        target_embedding: what a target is known by: ``lookup`` of an embedding of its own, ``feature`` for its columns,
            ``fusion`` for both.
        entity_start: of links on blocks: what the convolutions add to; ``targets`` is the mean of the vectors of what
            an entity has had by the anchor, weighed by its events.
        target_hidden: of links on blocks: width of a layer between a target's columns and its vector; default: none,
            vectors are sums over columns.
        temperature: of links on blocks and of ``lightgcn``: scores are cosines divided by it; default: inner products.
            Of ``pinsage`` scores are cosines in any case, and training divides them by it; default: 1.
        sharded_lookup_rows: targets (of ``lightgcn`` entities, too) from which on embeddings are a sharded embedding,
            rows divided among the workers; a step then costs what it looks up, optimized by row-wise Adagrad.
        blend: ``auto`` answers with network and baselines together, by weights found on the validation examples;
            ``off`` with the network alone. Both are evaluated.
        new_targets: whether targets that no training example names are ranked as others are; false ranks them, but
            for the pair branch, after all others.
        max_target_neighbors: most events of a target, the latest ones, that the two-branch network sees; 0 keeps away
            what a target that nobody has had would not have. Default: the fan-out of ``sampling.target_hops``.
        sequence: what ``model.network: sequence`` reads, and its transformer.
        pinsage: of ``model.network: pinsage``.
        lightgcn: of ``model.network: lightgcn``.
        trees: of boosted trees.
    """

    network: str = "auto"
    convolution: Implementation = "auto"
    channels: Positive = 48
    hidden: Positive = 128
    tower_channels: Positive = 48
    feature_channels: Positive = 24
    id_channels: Positive = 16
    latest: Positive = 128
    features: bool = True
    dropout: Probability = 0.1
    group_columns: tuple[str, ...] = ()
    target_embedding: Literal["lookup", "feature", "fusion"] = "fusion"
    entity_start: Literal["zero", "targets"] = "zero"
    target_hidden: Positive | None = None
    temperature: Annotated[float, Field(gt=0)] | None = None
    sharded_lookup_rows: Positive = 5_000_000
    new_targets: bool = True
    max_target_neighbors: Annotated[int, Field(ge=0)] | None = None
    sequence: SequenceSettings = SequenceSettings()
    pinsage: PinSageSettings = PinSageSettings()
    lightgcn: LightGCNSettings = LightGCNSettings()
    trees: TreesSettings = TreesSettings()
    blend: Literal["auto", "off"] = "auto"

    @field_validator("blend", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        # YAML reads it as false.
        return "off" if value is False else value

    @field_validator("convolution")
    @classmethod
    def _known_convolution(cls, value: Implementation) -> Implementation:
        return check_implementation(CONVOLUTIONS, value)


class TrainingSettings(Section):
    """Optimization and where it runs.

    Args:
        batch_size: examples a step over all workers together.
        max_examples: most examples an epoch of a node-level task; of more, each epoch takes another sample.
        loss: one that fits the task and the network, by name, or as a mapping of ``name`` and options such as
            ``focus``; ``auto`` takes the first that fits.
        learning_rate: its peak; default: 0.002, and of the neighborhood network less where it takes many steps.
        schedule: of the learning rate after the warm-up: ``cosine`` or ``linear`` down to a hundredth, ``constant``,
            ``step`` to a tenth at half and at three quarters, or ``inverse_sqrt`` of the step.
        warmup_steps: steps of linear warm-up of the learning rate.
        source: of the blocks of ``model.network: blocks``: sampled in ``memory``, or ``shards`` of the shards stage,
            with features.
        objective: what ``model.network: sequence`` is asked: at many positions of a sequence any action of the days
            after (``dense_all_action``), or the next one (``sasrec``); at the latest alone either (``all_action``,
            ``next_action``); by name, or as a mapping of ``name`` and options such as ``days``.
        negatives: targets sampled for the softmax over all targets, by popularity to ``negative_power``.
        negative_strategy: ``shared`` by a batch, ``in_batch`` for the targets of its other examples; and with
            ``model.network: blocks`` ``popularity`` and ``uniform`` for each example apart, or ``hard``: what walks
            from its target visit often, but not most. ``mixed`` is in part in-batch, in part uniform; ``curriculum``
            is shared, with one hard one an example more in each epoch, of a band of ranks that follows from the size
            of the catalogue.
        hard_walks, hard_ranks: of hard negatives: walks from a target to targets (default, of ``pinsage`` alone: those
            of ``sampling.walks``), and from which rank of visits to which.
        rank_depth: top ranks of an example's ranking that the loss of the two-branch network looks at.
        average_decay: decay of the exponential moving average of the weights, which is validated and saved.
        clip_norm: gradients are clipped to this norm.
        micro_batches: gradient accumulation: parts of a process's share of a batch, one after the other, to need less
            memory; the gradient is that of the whole.
        precision: of the network's arithmetic; ``bf16`` is autocast, and weights stay ``fp32``.
        compile: whether the network is compiled by ``torch.compile``; on the CPU that takes a C++ compiler.
        cuda_graphs: whether the compiled network is replayed as CUDA graphs, which need batches of fixed shape and
            take a process's share of a batch whole.
        sampler: where blocks are sampled: ``gpu``, ``cpu``, or ``auto`` for the device that trains.
        feature_type: that features of blocks are stored in while a network is trained; they are computed with as
            ``precision`` says.
        prefetch: batches that a thread of its own samples and gathers before the network asks for them; default: 2
            beside a GPU, and for ``model.network: blocks`` where a worker has two cores; else none, and the network
            takes all.
        patience: of early stopping: validations without an improvement after which training stops.
        workers: Ray Train workers; each takes a GPU where there are enough. ``auto`` takes one for few examples, else
            one a GPU or, where ``gpu`` finds none, one a core with 64 examples of a batch. One trains without Ray.
        max_workers: where given, ``workers`` is the least (``auto``: 1), and training takes as many up to this as the
            cluster has room for, and changes when it does; the global batches stay as they are.
        max_failures: lost workers after which training gives up.
        resize_seconds: how often a cluster is asked for room for more workers, where their number may change.
        checkpoint_steps: steps after which the state is kept, at the next tenth one, beside each epoch's end; 0 for
            the ends alone.
    """

    epochs: Positive = 3
    batch_size: Positive = 128
    max_examples: Positive = 200_000
    loss: Implementation = "auto"
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    schedule: Literal["cosine", "linear", "constant", "step", "inverse_sqrt"] = "cosine"
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    source: Literal["memory", "shards"] = "memory"
    objective: Implementation = "auto"
    negatives: Positive = 1024
    negative_strategy: Implementation = "shared"
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
    prefetch: Annotated[int, Field(ge=0)] | None = None
    patience: Positive = 3
    workers: Literal["auto"] | Positive = "auto"
    max_workers: Positive | None = None
    gpu: Literal["auto", "yes", "no"] = "auto"
    max_failures: Annotated[int, Field(ge=0)] = 1
    resize_seconds: Positive = 60
    checkpoint_steps: Annotated[int, Field(ge=0)] = 200

    @field_validator("negative_strategy")
    @classmethod
    def _known_negatives(cls, value: Implementation) -> Implementation:
        # The default is there, and costs no import.
        return value if value == "shared" else check_implementation(NEGATIVES, value)

    @field_validator("objective")
    @classmethod
    def _known_objective(cls, value: Implementation) -> Implementation:
        return check_implementation(SEQUENCE_OBJECTIVES, value)

    @field_validator("gpu", mode="before")
    @classmethod
    def _read_yaml(cls, value: Any) -> Any:
        # YAML reads yes and no without quotes as true and false.
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value

    @field_validator("loss")
    @classmethod
    def _known_loss(cls, value: Implementation) -> Implementation:
        return check_implementation(LOSSES, value)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.max_workers is not None and self.workers != "auto" and self.max_workers < self.workers:
            raise ConfigError(f"max_workers is {self.max_workers}, less than workers, {self.workers}")
        return self

    @model_validator(mode="after")
    def _check_device(self) -> Self:
        if self.cuda_graphs and self.micro_batches > 1:
            # A replay writes where the one before it left the gradients that are to be added up.
            raise ConfigError(
                f"training.cuda_graphs=true does not go with training.micro_batches={self.micro_batches}: a replayed "
                "graph overwrites the gradients of the part before; set micro_batches to 1, or cuda_graphs to false"
            )
        return self


class SearchSettings(Section):
    """Hyperparameter search: configurations are trained by Ray Tune, and stopped early where others are better.

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
    """Batch inference of embeddings.

    Args:
        workers: processes that share it, by Ray where they are more than one; ``auto`` takes one for a small lake, else
            one a GPU or, where ``training.gpu`` finds none, one a core. More than there are GPUs share them.
        partition_rows: nodes of a file, which is what a run that was killed loses at most, a worker.
        batch_size: entities that go through the network at once.
        max_failures: lost workers after which the run gives up.
        method: ``sampled`` encodes each entity from a neighborhood of its own; ``layerwise``, for networks on blocks
            that follow fan-outs, computes the state of each node once a layer, by processes of one host.
        only_changed: whether nodes of which nothing that the model reads has changed since the last run with the same
            model and anchor keep their rows.
    """

    workers: Literal["auto"] | Positive = "auto"
    partition_rows: Positive = 65_536
    batch_size: Positive = 256
    max_failures: Annotated[int, Field(ge=0)] = 3
    method: Literal["sampled", "layerwise"] = "sampled"
    only_changed: bool = False

    @model_validator(mode="after")
    def _check_method(self) -> Self:
        if self.method == "layerwise" and self.only_changed:
            raise ValueError("method=layerwise computes all nodes; only_changed goes with method=sampled")
        return self
