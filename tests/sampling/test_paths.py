"""Fan-outs name the edge types that they follow, each direction of a table joined with itself apart."""

import pytest

from gnnscale.sampling import plan_paths
from gnnscale.schema import ConfigError, GraphManifest, LinkManifest, RelationManifest, TableManifest

TABLES = tuple(TableManifest(name, 9, None, ()) for name in ("topics", "posts", "users"))
LINKS = (
    LinkManifest("topics", "parent_id", "topics", 8, 0, 0, 9, 3, 4),
    LinkManifest("posts", "topic_id", "topics", 9, 0, 0, 9, 5, 3),
)
RELATIONS = (
    RelationManifest("topics", "like", "topics", 20, 3, 0, 0),
    RelationManifest("users", "wrote", "posts", 20, 3, 0, 0),
)
MANIFEST = GraphManifest(TABLES, LINKS, 0, None, RELATIONS)


def names(table: str, *fanouts) -> dict[tuple[str, ...], int]:
    paths = plan_paths(MANIFEST, table, fanouts)
    return {tuple(edge_type.name for edge_type in path): fanout for path, fanout in paths.items()}


def test_each_direction_of_a_table_joined_with_itself_has_a_name():
    assert names("topics", {"topics.parent_id": 1}) == {("topics.parent_id",): 1}
    assert names("topics", {"rev_topics.parent_id": 4}) == {("rev_topics.parent_id",): 4}
    both = names("topics", {"topics.like": 2, "rev_topics.like": 3})
    assert both == {("topics.like",): 2, ("rev_topics.like",): 3}
    (path,) = plan_paths(MANIFEST, "topics", [{"rev_topics.parent_id": 4}])
    assert path[0].reverse
    with pytest.raises(ConfigError, match=r"unknown link 'rev_posts\.topic_id'"):
        names("topics", {"rev_posts.topic_id": 1})


def test_a_number_follows_every_edge_type_that_leaves():
    leaving = {"topics.parent_id", "rev_topics.parent_id", "posts.topic_id", "topics.like", "rev_topics.like"}
    assert names("topics", 2) == {(name,): 2 for name in leaving}


def test_only_a_foreign_key_leads_straight_back_to_the_one_parent():
    assert names("topics", {"posts.topic_id": 3}, {"posts.topic_id": 1, "users.wrote": 2}) == {
        ("posts.topic_id",): 3,
        ("posts.topic_id", "users.wrote"): 2,
    }
    # A post has many authors and an author many posts: the way back leads to others.
    assert ("users.wrote", "users.wrote") in names("posts", {"users.wrote": 3}, {"users.wrote": 3})
    again = names("users", {"users.wrote": 3}, {"users.wrote": 3}, {"users.wrote": 3})
    assert ("users.wrote",) * 3 in again
