"""Settings of retrieval: search among all targets."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from gnnscale.config.sections.section import Positive, Section, Share
from gnnscale.schema import INDEX_KINDS, ConfigError


class ConditionSettings(Section):
    """A condition that targets must meet; a missing value meets none.

    Args:
        column: of the target's own table, or of ``table``.
        operator: of the comparison.
        value: right-hand side; several for ``in``.
        table: of the lake, with the targets' keys in column ``target``; default: the target's own.
    """

    column: str
    operator: Literal["=", "!=", "<", "<=", ">", ">=", "in"] = "="
    value: bool | float | str | tuple[bool | float | str, ...]
    table: str | None = None


class CategorySettings(Section):
    """Filter by category: the target's is compared with the entity's.

    Args:
        entity: column with an entity's category; default: the one that most of its events up to the anchor named.
        target: column with a target's.
        own: ``only`` gives an entity targets of its own category, ``others`` none of them.
    """

    entity: str | None = None
    target: str
    own: Literal["only", "others"] = "only"


class FilterSettings(Section):
    """Which targets an entity may be given; by default all.

    Args:
        bought: whether targets that the entity had before may be given; ``auto`` leaves them out where training shows
            that few events repeat an earlier one.
        conditions: that every target must meet.
        demand: events, of anyone up to the anchor, below which a target is given to nobody; default: any will do.
        category: compared with the entity's own.
        deny: table of the lake with columns ``entity`` and ``target`` (keys): pairs that are left out; a row without an
            entity leaves its target out for all.
        allow: such a table: entities that it names are given nothing else.
    """

    bought: bool | Literal["auto"] = "auto"
    conditions: tuple[ConditionSettings, ...] = ()
    demand: Positive | None = None
    category: CategorySettings | None = None
    deny: str | None = None
    allow: str | None = None

    @property
    def tables(self) -> list[str]:
        """Tables of the lake that are read, each once."""
        names = [self.deny, self.allow, *(condition.table for condition in self.conditions)]
        return list(dict.fromkeys(name for name in names if name is not None))


class DiversitySettings(Section):
    """At most ``cap`` targets with the same value of a column of the target's table in a list."""

    column: str
    cap: Positive


class IndexSettings(Section):
    """The index of the targets.

    Args:
        kind: of index: ``flat``, ``grouped``, ``ivf_flat``, ``ivf_pq``, ``hnsw``, or another of the registry
            ``INDEX_KINDS``; ``auto`` follows from targets, queries and metric.
        metric: of the vectors; the two-branch network's scores are inner products.
        recall: least recall against exact search, by the lower end of its 95 % interval.
        escalate: whether the index is searched more widely where its recall falls short; else that is an error.
        nlist: clusters of an index, and of each index shard; ``auto`` follows the number of targets.
        nprobe: initial number of clusters that a search looks at.
        ef_search: initial number of candidates that a search of ``hnsw`` holds.
        options: further ones of the index kind, by name.
        sample: queries that recall is measured on.
        memory_gb: memory of the index, all index shards together, by which a kind is chosen for ``l2``; ``auto`` for
            half of the machine's. A grouped index maps its arrays.
        precision: of the scores that choose candidates, which are scored again in fp32; ``auto`` follows the processor.
        device: ``cuda`` for exact search on a GPU, and FAISS's forms of other kinds on GPUs.
        shards: index shards: consecutive targets, each shard an actor on any machine of a Ray cluster.
    """

    kind: str = "auto"
    metric: Literal["inner_product", "cosine", "l2"] = "inner_product"
    recall: Annotated[float, Field(gt=0, le=1)] = 0.95
    escalate: bool = True
    nlist: Literal["auto"] | Positive = "auto"
    nprobe: Literal["auto"] | Positive = "auto"
    ef_search: Literal["auto"] | Positive = "auto"
    options: dict[str, Any] = Field(default_factory=dict)
    sample: Positive = 1000
    memory_gb: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: Literal["cpu", "cuda"] = "cpu"
    shards: Positive = 1

    @field_validator("kind")
    @classmethod
    def _registered(cls, value: str) -> str:
        if value != "auto":
            INDEX_KINDS.find(value)
        return value

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.options and self.kind == "auto":
            raise ConfigError("options are those of a kind; say which with retrieval.index.kind")
        return self


class CalibrationSettings(Section):
    """Scores of predictions as probabilities, by the lists of the validation examples.

    Args:
        method: ``isotonic`` regression (Zadrozny and Elkan, 2002) or ``platt``, a logistic curve (Platt, 1999).
        even: whether what came true and what did not weigh the same in all, so that a probability of a half says that
            a row of this score is as often among the one as among the other; else they weigh as they are in the lists.
        least: probability that a row of the predictions has at least; 0 keeps all.
    """

    method: Literal["isotonic", "platt"] = "isotonic"
    even: bool = True
    least: Share = 0.0


class RetrievalSettings(Section):
    """Retrieval of the top-k targets.

    Args:
        partition_rows: entities whose lists are made, held and written together.
        depth: targets that the index is asked for at first; ``auto`` for what lists and filters are likely to need.
        index: of the targets.
        filters: which targets an entity may be given.
        diversity: of each list.
        exploration: share of each list's positions that go to allowed targets drawn at random.
        calibration: adds the column ``probability`` to the predictions; default: none.
    """

    partition_rows: Positive = 1_000_000
    depth: Literal["auto"] | Positive = "auto"
    index: IndexSettings = IndexSettings()
    filters: FilterSettings = FilterSettings()
    diversity: DiversitySettings | None = None
    exploration: Share = 0.0
    calibration: CalibrationSettings | None = None

    @model_validator(mode="after")
    def _explores_all(self) -> Self:
        if self.exploration and self.calibration is not None and self.calibration.least:
            raise ConfigError(
                f"retrieval.exploration={self.exploration} gives targets whatever their score, which "
                f"retrieval.calibration.least={self.calibration.least} forbids; leave one out"
            )
        return self

    @model_validator(mode="after")
    def _known(self) -> Self:
        for condition in self.filters.conditions:
            if isinstance(condition.value, tuple) != (condition.operator == "in"):
                raise ConfigError(
                    f"condition on '{condition.column}' has operator '{condition.operator}' and value "
                    f"{condition.value!r}; several values go with 'in' and one with the others"
                )
        return self
