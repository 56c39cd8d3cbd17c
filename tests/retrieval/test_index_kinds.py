"""A kind of index that is registered elsewhere builds, is saved, opened and searched like those of the package."""

from dataclasses import replace

import numpy as np
import pytest

from gnnscale.config import Section, build_settings
from gnnscale.retrieval import IndexKind, IndexSetting, Metric, Neighbors, build_query_indexes, retrieve
from gnnscale.retrieval.index.saved import load_index, read_manifest
from gnnscale.schema import INDEX_KINDS, ConfigError
from tests.retrieval.inventory_lake import LATEST, make_inventory

KINDS = ("flat", "grouped", "hnsw", "ivf_flat", "ivf_pq")


class EveryNthOptions(Section):
    """Of one target in so many, and how many thousandths of all are looked at."""

    every: int = 1
    per_mille: int = 500


class Looked:
    """The first targets, scored one by one in NumPy."""

    def __init__(self, vectors, setting):
        self.vectors, self.setting = vectors, setting

    @property
    def size(self):
        return len(self.vectors)

    @property
    def channels(self):
        return self.vectors.shape[1]

    def with_width(self, width):
        return Looked(self.vectors, self.setting.with_width(width))

    def search(self, queries, k):
        seen = self.vectors[: max(k, self.size * self.setting.options.per_mille // 1000)]
        scores = queries @ seen.T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return Neighbors(best, np.take_along_axis(scores, best, 1))

    def write(self, folder):
        np.save(folder / "looked.npy", self.vectors)


class LookedKind(IndexKind):
    Options = EveryNthOptions
    metrics = (Metric.INNER_PRODUCT,)
    width = "per_mille"

    @classmethod
    def most_width(cls, options):
        return 1000

    @classmethod
    def build(cls, vectors, setting, folder):
        return Looked(np.array(vectors), setting)

    @classmethod
    def open(cls, folder, setting):
        return Looked(np.load(folder / "looked.npy"), setting)


class NarrowKind(LookedKind):
    """Never looks at more than a fiftieth of the targets."""

    @classmethod
    def most_width(cls, options):
        return 20


@pytest.fixture
def looked():
    """The kind, registered for one test."""
    with INDEX_KINDS.temporarily({"looked": LookedKind}):
        yield


@pytest.fixture(scope="module")
def inventory(tmp_path_factory):
    """Items and shoppers."""
    return make_inventory(tmp_path_factory.mktemp("kinds"), 600, 80)


def test_the_kinds_of_the_package_are_found():
    assert set(KINDS) <= set(INDEX_KINDS.names())


def test_a_kind_from_elsewhere_goes_all_the_way(inventory, looked):
    settings = inventory.settings(index={"kind": "looked", "recall": 0.99, "options": {"per_mille": 10}})
    anchors = [inventory.plan.test, inventory.plan.latest]
    built = build_query_indexes(settings, inventory.lake, inventory.query, anchors)
    # Half of the targets do not have the recall that all have.
    assert {manifest.setting.search_width for manifest in built} == {1000}
    manifest = read_manifest(inventory.lake, "next_week", LATEST)
    assert manifest.setting == IndexSetting.of("looked", per_mille=1000)
    assert manifest.setting.to_dict()["options"] == {"every": 1, "per_mille": 1000}
    assert manifest.setting.in_words() == "looked, every 1, per_mille 1,000"
    assert {"looked.npy", "targets.npy"} == set(manifest.files)
    index = load_index(inventory.lake, "next_week", LATEST).index
    np.testing.assert_array_equal(index.vectors, inventory.items)
    done = retrieve(settings, inventory.lake, inventory.query, inventory.plan)
    assert done.recall.mean == 1 and done.rows == 80 * 10


def test_where_a_kind_finds_too_little_the_search_is_exact(inventory):
    with INDEX_KINDS.temporarily({"narrow": NarrowKind}):
        settings = inventory.settings(index={"kind": "narrow", "options": {"per_mille": 10}})
        built = build_query_indexes(settings, inventory.lake, inventory.query, [inventory.plan.latest])
    assert built[0].setting.kind == "flat" and built[0].recall.mean == 1


def test_what_a_kind_does_not_have_is_refused(inventory, looked):
    with pytest.raises(ConfigError, match="a looked index has no l2; take inner_product or an index of another kind"):
        IndexSetting("looked", Metric.L2)
    with pytest.raises(ConfigError, match="kind looked has no form on cuda; take one of flat, grouped, ivf_flat"):
        IndexSetting("looked", device="cuda")
    with pytest.raises(ConfigError, match=r"index_kind 'looked' has no option 'depth'.* Allowed: "):
        build_query_indexes(
            inventory.settings(index={"kind": "looked", "options": {"depth": 3}}),
            inventory.lake,
            inventory.query,
            [inventory.plan.latest],
        )


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ({"kind": "hnws"}, "'retrieval.index.kind': there is no index_kind 'hnws'. Did you mean 'hnsw'"),
        ({"options": {"links": 8}}, "options are those of a kind; say which with retrieval.index.kind"),
    ],
)
def test_a_configuration_names_a_kind_that_there_is(inventory, index, says):
    with pytest.raises(ConfigError, match=says):
        build_settings({**inventory.content, "retrieval": {"index": index}})


@pytest.mark.parametrize("kind", KINDS)
def test_a_setting_comes_back_from_its_manifest(kind):
    setting = IndexSetting.of(kind, Metric.COSINE, nlist=12, nprobe=3, ef_search=48, codes=8, threads=2, seed=5)
    assert IndexSetting.from_dict(setting.to_dict()) == setting
    assert setting.with_width(10**6).search_width == setting.most_width
    assert setting.widths()[-1] == setting.most_width


def test_a_manifest_of_another_version_counts_as_none(inventory):
    settings = inventory.settings(index={"kind": "flat"})
    build_query_indexes(settings, inventory.lake, inventory.query, [LATEST])
    manifest = read_manifest(inventory.lake, "next_week", LATEST)
    path = f"_indexes/next_week/{LATEST}/manifest.json"
    content = inventory.lake.read_bytes(path)
    inventory.lake.write_bytes(path, content.replace(b'"options"', b'"effort"'))
    assert read_manifest(inventory.lake, "next_week", LATEST) is None
    inventory.lake.write_bytes(path, content)
    assert read_manifest(inventory.lake, "next_week", LATEST) == replace(manifest)
