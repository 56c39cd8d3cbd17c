"""YAML files and ``key=value`` overrides to :class:`Settings`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError
from yaml import YAMLError, safe_load

from gnnscale.config.faults import explain_faults
from gnnscale.config.sections.interaction_recipe import InteractionSettings
from gnnscale.config.sections.search_space import take_lists, with_values
from gnnscale.config.sections.sequence_recipe import SequenceRecipeSettings
from gnnscale.config.sections.settings import Settings, query_name
from gnnscale.config.sections.tables import TableSettings
from gnnscale.schema import ConfigError, DerivedRows, GraphSchema, PairRows, SchemaError, Table, ValueKind, nearest

S = TypeVar("S", InteractionSettings, SequenceRecipeSettings)


def conf_folder() -> Path:
    """The configuration that ships with gnnscale: ``conf/`` of the source tree, or its copy in the package."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


def recipe_names(folder: Path | None = None) -> list[str]:
    """Recipes that can be run by name."""
    return sorted(path.stem for path in ((folder or conf_folder()) / "recipes").glob("*.yaml"))


def mode_names(folder: Path | None = None) -> list[str]:
    """Run modes that can be asked for."""
    return sorted(path.stem for path in ((folder or conf_folder()) / "modes").glob("*.yaml"))


@cache
def mode_values() -> dict[str, list[Any]]:
    """Dotted key -> the values that the run modes which ship with gnnscale set it to."""
    found: dict[str, list[Any]] = {}
    for mode in mode_names():
        content: Any = OmegaConf.to_container(_read(conf_folder() / "modes" / f"{mode}.yaml"))
        for section, values in content.items():
            for key, value in values.items():
                # Of a search, each.
                found.setdefault(f"{section}.{key}", []).extend(value if isinstance(value, list) else [value])
    return found


def compose_settings(
    parts: Sequence[Mapping[str, Any]], overrides: Sequence[str], mode: str | None, folder: Path | None, source: str
) -> Settings:
    """Compose ``defaults.yaml``, a run mode, further parts and overrides, in this order.

    Args:
        parts: plain data.
        overrides: ``key=value`` with dots between levels; values are YAML.
        mode: run mode; None for none.
        folder: configuration folder; default: the one that ships with gnnscale.
        source: where the parts come from, for messages.

    Raises:
        ConfigError: an unknown mode or key (the message names the nearest), or a value out of range.
    """
    return build_settings(_compose(parts, overrides, mode, folder or conf_folder(), source))


def _compose(
    parts: Sequence[Mapping[str, Any]], overrides: Sequence[str], mode: str | None, folder: Path, source: str
) -> Any:
    layers: list[Any] = [_read(folder / "defaults.yaml")]
    if mode is not None:
        if mode not in mode_names(folder):
            raise ConfigError(f"unknown run mode '{mode}'.{nearest(mode, mode_names(folder))}")
        layers.append(_read(folder / "modes" / f"{mode}.yaml"))
    try:
        composed = OmegaConf.merge(
            *layers, *(OmegaConf.create(_named_query(part)) for part in parts), _read_overrides(overrides)
        )
        content = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        given = f" with {' '.join(overrides)}" if overrides else ""
        raise ConfigError(f"{source}{given}: {_first_line(error)}") from None
    return content


def literal(data: Any) -> Any:
    """Plain data whose texts mean what they are: ``${oc.env:NAME}`` in them takes nothing from anywhere."""
    if isinstance(data, str):
        # Every backslash before it is written twice, and one more takes its meaning away.
        return re.sub(r"(\\*)\$\{", r"\1\1\\${", data)
    if isinstance(data, Mapping):
        return {key: literal(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [literal(value) for value in data]
    return data


def _named_query(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part whose query is a section, of which overrides can name keys, also where it is given as text alone."""
    text = part.get("query")
    return {**part, "query": {"name": query_name(text), "text": text}} if isinstance(text, str) else dict(part)


def load_settings(
    recipe: str, overrides: Sequence[str] = (), folder: Path | None = None, mode: str | None = None
) -> Settings:
    """Compose ``defaults.yaml``, a run mode, the recipe and the overrides, in this order.

    Args:
        recipe: a recipe's name, or the path of a YAML file.
        overrides: ``key=value`` with dots between levels; values are YAML.
        folder: configuration folder; default: the one that ships with gnnscale.
        mode: run mode; None leaves the recipe as it is.

    Raises:
        ConfigError: an unknown recipe or key (the message names the nearest), or a value out of range.
    """
    folder = folder or conf_folder()
    path = _recipe_path(recipe, folder)
    content: Any = _read(path)
    return compose_settings([content, {"recipe": path.stem}], overrides, mode, folder, str(path))


def literal_settings(content: Mapping[str, Any], overrides: Sequence[str], origin: str) -> Settings:
    """A configuration that was kept, with overrides; nothing in it is interpolated.

    Args:
        content: sections as plain data.
        overrides: ``key=value``.
        origin: where it is from, for errors.

    Raises:
        ConfigError: as in :func:`load_settings`.
    """
    return compose_settings([literal(content)], overrides, None, None, origin)


def recipe_kind(recipe: str, folder: Path | None = None) -> str:
    """What a recipe is about: ``graph`` for tables and a query, ``interactions`` for a matrix of users and items,
    ``sequences`` for users' items in their order.

    Raises:
        ConfigError: there is no such recipe.
    """
    return str(_read(_recipe_path(recipe, folder or conf_folder())).get("kind", "graph"))


def load_interaction_settings(
    recipe: str, overrides: Sequence[str] = (), folder: Path | None = None
) -> InteractionSettings:
    """Compose ``defaults.yaml``, a recipe of interactions and the overrides, in this order.

    Args:
        recipe: a recipe's name, or the path of a YAML file.
        overrides: ``key=value`` with dots between levels; values are YAML.
        folder: configuration folder; default: the one that ships with gnnscale.

    Raises:
        ConfigError: an unknown recipe or key (the message names the nearest), or a value out of range.
    """
    return _load_kind(InteractionSettings, recipe, overrides, folder)


def load_sequence_settings(
    recipe: str, overrides: Sequence[str] = (), folder: Path | None = None
) -> SequenceRecipeSettings:
    """The same of a recipe of the leave-last-out protocol."""
    return _load_kind(SequenceRecipeSettings, recipe, overrides, folder)


def _load_kind(kind: type[S], recipe: str, overrides: Sequence[str], folder: Path | None) -> S:
    folder = folder or conf_folder()
    path = _recipe_path(recipe, folder)
    content: Any = _read(path)
    composed = _compose([content, {"recipe": path.stem}], overrides, None, folder, str(path))
    try:
        return kind.model_validate(composed)
    except ValidationError as error:
        raise ConfigError("\n".join(explain_faults(error.errors(), kind))) from None


def _recipe_path(recipe: str, folder: Path) -> Path:
    path = Path(recipe) if recipe.endswith((".yaml", ".yml")) else folder / "recipes" / f"{recipe}.yaml"
    if not path.is_file():
        raise ConfigError(f"no recipe '{recipe}' ({path}).{nearest(recipe, recipe_names(folder))}")
    return path


def kept_content(content: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that a model was kept with; what it says nothing of is as it was before there was a key for it.

    Args:
        content: sections as plain data.
    """
    return {**content, "model": {"features": False, **content["model"]}} if "model" in content else dict(content)


def build_settings(content: Any) -> Settings:
    """Check plain data into :class:`Settings`.

    Raises:
        ConfigError: one line for each fault, with the key's full name.
    """
    try:
        settings = Settings.model_validate(take_lists(content))
        # A value that is out of range should not wait for its trial to be found.
        for name, values in settings.search.space.items():
            for value in values:
                Settings.model_validate(with_values(settings.model_dump(mode="json"), {name: value}))
        return settings
    except ValidationError as error:
        raise ConfigError("\n".join(explain_faults(error.errors()))) from None


def build_graph_schema(settings: Settings, kinds: Mapping[str, Mapping[str, ValueKind]] | None = None) -> GraphSchema:
    """The tables of the configuration as a :class:`~gnnscale.schema.GraphSchema`, with declared links only.

    Args:
        settings: section ``tables`` counts.
        kinds: table -> its columns and what their values are, where the rows have been looked at.
    """
    return table_graph(settings.tables, kinds or {})


def table_graph(tables: Mapping[str, TableSettings], kinds: Mapping[str, Mapping[str, ValueKind]]) -> GraphSchema:
    """Tables as a :class:`~gnnscale.schema.GraphSchema`, with declared links only.

    Args:
        tables: section ``tables``.
        kinds: table -> its columns and what their values are, where the rows have been looked at.
    """
    return GraphSchema([_table(name, table, kinds.get(name, {})) for name, table in tables.items()])


def mentioned_kinds(
    graph: GraphSchema, kinds: Mapping[str, Mapping[str, ValueKind]]
) -> dict[str, dict[str, ValueKind]]:
    """What the columns hold of tables whose rows follow from others: derived ones, and the keys that others mention.

    Args:
        graph: its tables count.
        kinds: table -> its columns and what their values are, of the other tables.

    Raises:
        SchemaError: they are taken from a table or column that is not there.
    """
    found = {t.name: _derived_kinds(t.name, t.derived, graph, kinds) for t in graph.tables.values() if t.derived}
    for table in graph.tables.values():
        if table.name in kinds or table.derived or not table.keys_from:
            continue
        place, _, column = table.keys_from[0].partition(".")
        if column not in kinds.get(place, {}):
            known = [f"{name}.{other}" for name, columns in kinds.items() for other in columns]
            raise SchemaError(
                f"table '{table.name}': keys_from '{table.keys_from[0]}' is no column."
                f"{nearest(table.keys_from[0], known)}"
            )
        found[table.name] = {table.primary_key or "": kinds[place][column]}
    return found


def _derived_kinds(
    name: str, rows: DerivedRows, graph: GraphSchema, kinds: Mapping[str, Mapping[str, ValueKind]]
) -> dict[str, ValueKind]:
    if rows.table not in kinds:
        raise SchemaError(
            f"table '{name}': derived from '{rows.table}', which has no rows.{nearest(rows.table, kinds)}"
        )
    columns = kinds[rows.table]
    for column in rows.read_columns:
        if column not in columns:
            known = nearest(column, columns)
            raise SchemaError(f"table '{name}': derived from '{rows.table}', which has no column '{column}'.{known}")
    if isinstance(rows, PairRows) and not graph.table(rows.table).time_column:
        raise SchemaError(f"table '{name}': pairs are stamped, and '{rows.table}' has no time_column")
    return {own: ValueKind.TIME if source is None else columns[source] for own, source in rows.columns.items()}


def build_tables(content: Mapping[str, Any]) -> dict[str, TableSettings]:
    """Check plain data of section ``tables`` alone.

    Raises:
        ConfigError: one line for each fault, with the key's full name.
    """
    try:
        return TypeAdapter(dict[str, TableSettings]).validate_python(content)
    except ValidationError as error:
        faults = [{**fault, "loc": ("tables", *fault["loc"])} for fault in error.errors()]
        raise ConfigError("\n".join(explain_faults(faults))) from None


def _table(name: str, settings: TableSettings, kinds: Mapping[str, ValueKind]) -> Table:
    given = {key: getattr(settings, key) for key in type(settings).model_fields if key not in ("columns", "derived")}
    given["derived"] = settings.derived.rows() if settings.derived else None
    columns = {column: meaning.type for column, meaning in settings.columns.items()}
    separators = {column: meaning.separator for column, meaning in settings.columns.items() if meaning.separator}
    return Table(name=name, kinds=kinds, columns=columns, separators=separators, **given)


def _read(path: Path) -> DictConfig:
    try:
        content = OmegaConf.load(path)
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, DictConfig):
        raise ConfigError(f"{path} must hold keys and values")
    return content


def _read_overrides(overrides: Sequence[str]) -> DictConfig:
    for override in overrides:
        key, separator, _ = override.partition("=")
        if not separator or not key:
            raise ConfigError(f"'{override}' is not an override; write key=value, such as training.epochs=2")
    words = [_plain_word(override) for override in overrides]
    try:
        return OmegaConf.from_dotlist(words)
    except (OmegaConfBaseException, YAMLError) as error:
        for word, override in zip(words, overrides, strict=True):
            try:
                OmegaConf.from_dotlist([word])
            except (OmegaConfBaseException, YAMLError) as own:
                raise ConfigError(f"override {override}: {_first_line(own)}") from None
        raise ConfigError(f"overrides {' '.join(overrides)}: {_first_line(error)}") from None


def _plain_word(override: str) -> str:
    """An override whose value is YAML: text that would be none, or another, is quoted.

    A shell takes the quotes off ``time_format='%d/%m/%Y'``, and YAML has no plain text that begins with ``%`` or goes
    on after `` #``, where it takes the rest for a comment.
    """
    key, _, value = override.partition("=")
    text = value.strip()
    before, *comment = re.split(r"\s#", text, maxsplit=1)
    cut = bool(comment) and not text.startswith(("[", "{", "'", '"', "#")) and _is_text(before)
    return f"{key}={json.dumps(text, ensure_ascii=False)}" if cut or text.startswith(("%", "@", "`")) else override


def _is_text(value: str) -> bool:
    try:
        return isinstance(safe_load(value), str)
    except YAMLError:
        return True


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
