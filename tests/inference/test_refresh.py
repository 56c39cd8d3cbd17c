"""Entities with new events are embedded, and the others keep their rows: day by day, and wherever a run is killed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from gnnscale.config import Settings, build_settings
from gnnscale.inference import read_refreshed, refresh_vectors, rows_after
from gnnscale.inference import refresh as refresh_module
from gnnscale.inference.refresh_plan import count_events
from gnnscale.lake import Lake, PartFiles
from gnnscale.publish.lake_rows import has_pairs
from gnnscale.schema import ConfigError, LakeError
from gnnscale.store import GraphStore
from tests.conftest import Shop
from tests.embedded_shop import copy_shop, put_model, train_towers
from tests.shop import DAY, OPENING

TABLE = "refreshed_next_week"


def day(number: int) -> int:
    """Midnight so many days after the opening, epoch seconds."""
    return int(OPENING.timestamp()) + number * DAY


def refresh(settings: Settings, as_of: int, **options: Any) -> Any:
    lake = Lake(settings.lake.uri)
    return refresh_vectors(settings, lake, GraphStore.open(lake), as_of, **options)


def rows_of(lake: Lake) -> dict[str, Any]:
    rows = lake.read(TABLE).sort_by("node_id")
    columns: dict[str, Any] = {name: rows[name].to_pylist() for name in ("node_id", "entity", "events", "run")}
    columns["anchor"] = [int(time.timestamp()) for time in rows["anchor_time"].to_pylist()]
    columns["vector"] = np.array(rows["vector"].to_pylist(), np.float32)
    columns["scores"] = rows["scores"].to_pylist()
    return columns


@pytest.fixture
def made(shop: Shop, tmp_path: Path) -> tuple[Settings, Lake]:
    return copy_shop(shop, tmp_path, partition_rows=16)


def test_events_are_those_up_to_the_anchor(shop: Shop, store: GraphStore) -> None:
    anchor = day(30)
    found = count_events(store, "customers", anchor - store.manifest.origin, chunk=50)
    expected = np.zeros(len(found), np.int64)
    # Purchases and mailings name customers; those of unknown ones make no edge.
    for table in ("purchases", "mailings"):
        rows = shop.nodes(table)
        known = rows[(rows["fk_customer_id"] >= 0) & (rows["time"].fillna(0) <= anchor)]
        np.add.at(expected, known["fk_customer_id"].astype(int), 1)
    assert found.tolist() == expected.tolist() and found.sum() > 0


def test_days_follow_each_other(made: tuple[Settings, Lake]) -> None:
    settings, lake = made
    first = refresh(settings, day(40))
    assert (first.encoded, first.entities, first.reason) == (40, 40, "there was no run before")
    before = rows_of(lake)
    keys = lake.read("ids_customers").sort_by("node_id")["key"].to_pylist()
    assert set(before["run"]) == {1} and before["entity"] == keys

    second = refresh(settings, day(41))
    after = rows_of(lake)
    active = np.flatnonzero(np.array(after["events"]) != np.array(before["events"]))
    assert second.encoded == len(active) and 0 < len(active) < 20
    assert np.flatnonzero(np.array(after["run"]) == 2).tolist() == active.tolist()
    assert (second.since, second.reason, lake.version(TABLE)) == (day(40), "", 1)
    kept = np.setdiff1d(np.arange(40), active)
    assert (after["vector"][kept] == before["vector"][kept]).all()
    assert {after["anchor"][node] for node in active} == {day(41)}

    full = refresh(settings, day(41), force=True)
    assert full.encoded == 40 and full.reason == "forced"
    whole = rows_of(lake)
    np.testing.assert_allclose(whole["vector"][active], after["vector"][active], rtol=1e-5, atol=1e-6)


def test_a_day_that_was_missed_is_caught_up_with_and_one_run_twice_changes_nothing(
    made: tuple[Settings, Lake], tmp_path: Path
) -> None:
    settings, lake = made
    refresh(settings, day(40))
    shutil.copytree(lake.uri, tmp_path / "other")
    other = settings.model_copy(update={"lake": settings.lake.model_copy(update={"uri": str(tmp_path / "other")})})
    for number in (41, 42, 43):
        refresh(settings, day(number))
    at_once = refresh(other, day(43))
    daily, caught_up = rows_of(lake), rows_of(Lake(other.lake.uri))
    assert daily["events"] == caught_up["events"]
    assert at_once.encoded == sum(run == 2 for run in caught_up["run"])
    # Who had no event on the last day was embedded at the end of an earlier one.
    assert set(daily["anchor"]) == {day(number) for number in (40, 41, 42, 43)}
    again = refresh(settings, day(43))
    assert (again.encoded, again.written, lake.version(TABLE)) == (0, 0, 3)
    with pytest.raises(
        ConfigError, match="is of 2024-02-13 00:00, and can't go back to 2024-02-12 00:00; with --force"
    ):
        refresh(settings, day(42))


def test_a_day_without_events_moves_the_table_on(made: tuple[Settings, Lake]) -> None:
    settings, lake = made
    refresh(settings, day(70))
    rows = rows_of(lake)
    found = refresh(settings, day(71))
    assert (found.encoded, found.written, found.version) == (0, 0, 1)
    assert str(rows_of(lake)) == str(rows)
    last = read_refreshed(lake, "next_week")
    assert last is not None and (last.as_of, last.run) == (day(71), 2)


def test_another_model_and_another_table_mean_all(made: tuple[Settings, Lake]) -> None:
    settings, lake = made
    refresh(settings, day(40))
    put_model(settings, lake, seed=5)
    found = refresh(settings, day(41))
    assert found.encoded == 40 and "the model, its sampling or its device is another" in found.reason
    lake.open(TABLE).optimize.compact()
    lake.write(TABLE, lake.read(TABLE))
    found = refresh(settings, day(42))
    assert found.encoded == 40 and found.reason == "keys or files are others than those of the last run"


class KilledError(Exception):
    pass


@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
def test_a_run_that_is_killed_leaves_the_day_before(
    made: tuple[Settings, Lake], first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, lake = made
    before = None
    if not first:
        refresh(settings, day(40))
        before = rows_of(lake)
    as_of, write = day(45), PartFiles.write
    for survived in (0, 1, 1):
        left = [survived]

        def broken(self: PartFiles, *given: Any, left: list[int] = left, **options: Any) -> None:
            if not left[0]:
                raise KilledError
            left[0] -= 1
            write(self, *given, **options)

        monkeypatch.setattr(PartFiles, "write", broken)
        with pytest.raises(KilledError):
            refresh(settings, as_of)
        assert str(rows_of(lake)) == str(before) if before else not lake.exists(TABLE)
        monkeypatch.undo()
    written = []
    monkeypatch.setattr(PartFiles, "write", lambda self, *given, **o: written.append(1) or write(self, *given, **o))
    assert refresh(settings, as_of).written == 3
    # The two files that the killed runs have left are taken up.
    assert len(written) == 1


def test_two_runs_at_once_do_not_mix(made: tuple[Settings, Lake], monkeypatch: pytest.MonkeyPatch) -> None:
    settings, lake = made
    refresh(settings, day(40))
    commit, done = refresh_module.commit_rows, []

    def overtaken(*given: Any) -> int:
        if not done:
            done.append(1)
            refresh(settings, day(44))
        return commit(*given)

    monkeypatch.setattr(refresh_module, "commit_rows", overtaken)
    with pytest.raises(LakeError, match="another run has refreshed refreshed_next_week meanwhile"):
        refresh(settings, day(45))
    last = read_refreshed(lake, "next_week")
    assert last is not None and last.as_of == day(44)
    assert rows_of(lake)["node_id"] == list(range(40))


def test_a_graph_with_other_keys_means_all(made: tuple[Settings, Lake]) -> None:
    settings, lake = made
    refresh(settings, day(40))
    ids = lake.read("ids_customers").to_pandas()
    ids.loc[ids["node_id"] == 3, "key"] = "another"
    import pyarrow as pa

    lake.write("ids_customers", pa.Table.from_pandas(ids, preserve_index=False))
    assert refresh(settings, day(41)).reason == "keys or files are others than those of the last run"
    assert build_settings(settings.model_dump(mode="json")) == settings


def test_vectors_of_sequences_are_refreshed(shop: Shop, tmp_path: Path) -> None:
    """The system of PinnerFormer: an entity's vector is of its latest actions, and the next day's of some more."""
    sequence = {"length": 12, "heads": 2, "action_type": "channel", "numbers": ["amount"]}
    settings, lake, _ = train_towers(shop, tmp_path, network="sequence", sequence=sequence)
    refresh(settings, day(40))
    found = refresh(settings, day(42))
    assert 0 < found.encoded < 40 and has_pairs(lake, TABLE, found.version)
    refreshed = rows_of(lake)
    refresh(settings, day(42), force=True)
    active = np.array(refreshed["run"]) == 2
    whole = rows_of(lake)
    np.testing.assert_allclose(whole["vector"][active], refreshed["vector"][active], rtol=1e-4, atol=1e-5)
    # Those who have done nothing since keep what they have: ages count from the latest action.
    for one, other in zip(whole["scores"], refreshed["scores"], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_what_runs_have_embedded_is_found_without_the_rest(shop: Shop, tmp_path: Path) -> None:
    settings, lake = copy_shop(shop, tmp_path, partition_rows=40)
    columns = ["entity", "anchor_time", "vector", "targets", "scores"]
    for number in (40, 41, 42, 42, 44):
        refresh(settings, day(number))
    last = read_refreshed(lake, "next_week")
    assert last is not None and last.run == 4
    whole = lake.read(TABLE).sort_by("node_id")
    for run in (1, 2, 3, 4):
        found = rows_after(lake, last, "next_week", run, columns)
        assert found is not None
        expected = whole.filter(pc.greater(whole["run"], run)).select(columns)
        assert found.to_pylist() == expected.to_pylist() and (len(found) > 0) == (run < 4)
    # Before the first run there is nothing that could be left out; nor where a file is damaged, or gone.
    assert rows_after(lake, last, "next_week", 0, columns) is None
    *_, file = sorted(Path(lake.table_uri(TABLE)).glob("*-embedded.parquet"), key=lambda path: path.stat().st_mtime)
    octets = bytearray(file.read_bytes())
    octets[len(octets) // 3] ^= 16
    file.write_bytes(octets)
    assert rows_after(lake, last, "next_week", 1, columns) is None
    file.unlink()
    assert rows_after(lake, last, "next_week", 3, columns) is None


def test_many_changed_entities_are_found_among_all_rows(made: tuple[Settings, Lake]) -> None:
    settings, lake = made
    refresh(settings, day(40))
    # More of them than a file has rows.
    assert refresh(settings, day(60)).encoded > 16
    last = read_refreshed(lake, "next_week")
    assert last is not None and rows_after(lake, last, "next_week", 1, ["entity"]) is None
    assert not list(Path(lake.table_uri(TABLE)).glob("*-embedded.parquet"))
