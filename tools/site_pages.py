"""Pages of the site that are no files of docs/: those of the root, settings, the reference of Python, examples."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from griffe import Docstring, DocstringSectionKind
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "license.md",
    "examples": "examples.md",
}
"""Files of the root and the pages that show them."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are written here."""
    written = {page: rooted((ROOT / name).read_text()) for name, page in PAGES.items() if name.endswith(".md")}
    written["license.md"] = f"# License\n\n```text\n{(ROOT / 'LICENSE').read_text()}\n```\n"
    written["examples.md"] = examples_page()
    written["settings.md"] = settings_page()
    written["reference.md"] = reference_page()
    for path, content in written.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Lead links out of docs/ to the pages that show those files."""
    del page, config, files
    markdown = re.sub(r"\]\(\.\./examples(?:/(\w+)\.py)?\)", _example_link, markdown)
    return re.sub(r"\]\(\.\./([\w.]+)\)", lambda found: f"]({PAGES.get(found[1], found[1])})", markdown)


def on_page_content(html: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Show names in docstrings without the roles before them."""
    del page, config, files
    return re.sub(r":(?:meth|class|data|func|attr|mod):\s*(<code>)", r"\1", html)


def rooted(text: str) -> str:
    """A page of the root, its links as they are from docs/."""
    text = re.sub(r"\]\(docs/", "](", text)
    text = re.sub(r"\]\(examples(?:/(\w+)\.py)?\)", _example_link, text)
    return re.sub(r"\]\(([\w.]+)\)", lambda found: f"]({PAGES.get(found[1], found[1])})", text)


def _example_link(found: re.Match[str]) -> str:
    return f"](examples.md{f'#{found[1]}' if found[1] else ''})"


def examples_page() -> str:
    """Every script of examples/, with what its docstring says before it."""
    parts = ["# Examples", "Scripts of the folder `examples`; each runs in the tests."]
    for path in sorted((ROOT / "examples").glob("*.py")):
        source = path.read_text()
        said = ast.get_docstring(ast.parse(source)) or ""
        parts += [f"## `{path.name}` {{#{path.stem}}}", said, f"```python\n{source}```"]
    return "\n\n".join(parts) + "\n"


def reference_page() -> str:
    """What `import gnnscale` offers, from its docstrings."""
    import gnnscale

    names = [name for name in gnnscale.__all__ if not name.startswith("_")]
    places = {name: getattr(gnnscale, name) for name in names}
    parts = ["# Python reference", "What `import gnnscale` offers."]
    parts += [f"::: {found.__module__}.{found.__qualname__}" for _, found in sorted(places.items())]
    return "\n\n".join(parts) + "\n"


def settings_page() -> str:
    """Every key of the configuration with its type, default and meaning."""
    from gnnscale.config import Settings

    schema = Settings.model_json_schema()
    parts = [
        "# Settings",
        "Every key of a recipe, from the classes that check it: [how they are used](configuration.md).",
    ]
    for heading, definition in _sections(schema):
        parts += [heading, _meaning(definition), _table(definition, schema["$defs"])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sections(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    definitions = schema["$defs"]
    yield "## Top level", schema
    seen: set[str] = set()

    def below(path: str, definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for key, field in definition.get("properties", {}).items():
            for name, inner in _references(field, (path and f"{path}.{key}") or key):
                if name in seen or "properties" not in definitions[name]:
                    continue
                seen.add(name)
                kind = definitions[name]["properties"].get("kind", {}).get("const")
                yield f"## `{inner}`" + (f" of kind `{kind}`" if kind else ""), definitions[name]
                yield from below(inner, definitions[name])

    yield from below("", schema)


def _references(field: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if "$ref" in field:
        yield field["$ref"].rpartition("/")[2], path
    for several in ("anyOf", "oneOf", "allOf"):
        for option in field.get(several, ()):
            yield from _references(option, path)
    if isinstance(field.get("additionalProperties"), dict):
        yield from _references(field["additionalProperties"], f"{path}.<name>")
    if isinstance(field.get("items"), dict):
        yield from _references(field["items"], f"{path}[]")


def _parsed(definition: dict[str, Any]) -> list[Any]:
    return Docstring(definition.get("description", "")).parse("google", warnings=False)


def _meaning(definition: dict[str, Any]) -> str:
    return "\n\n".join(s.value for s in _parsed(definition) if s.kind is DocstringSectionKind.text)


def _table(definition: dict[str, Any], definitions: dict[str, Any]) -> str:
    told: dict[str, str] = {}
    for section in _parsed(definition):
        if section.kind is DocstringSectionKind.parameters:
            for parameter in section.value:
                told |= {name.strip(): parameter.description for name in parameter.name.split(",")}
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in definition["properties"].items():
        default = field.get("default", "" if key in definition.get("required", ()) else None)
        section = next(iter(_references(field, key)), None)
        meaning = told.get(key, "") or (_first_sentence(definitions[section[0]]) if section else "")
        cells = (f"`{key}`", _type(field, definitions), "" if section else _shown(default), meaning)
        rows.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _first_sentence(definition: dict[str, Any]) -> str:
    return _meaning(definition).partition(". ")[0].split("\n\n")[0]


def _shown(default: Any) -> str:
    if default == "":
        return "required"
    return "none" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"


LIMITS = {"minimum": "at least", "exclusiveMinimum": "over", "maximum": "at most", "exclusiveMaximum": "under"}


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in field:
        target = definitions[field["$ref"].rpartition("/")[2]]
        return _type(target, definitions) if "enum" in target else "section"
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    for several in ("anyOf", "oneOf"):
        if several in field:
            options = [_type(option, definitions) for option in field[several] if option.get("type") != "null"]
            return " or ".join(dict.fromkeys(options))
    if field.get("type") == "array":
        inner = field.get("items") or (field.get("prefixItems") or [{}])[0]
        return f"list of {_type(inner, definitions)}"
    if field.get("type") == "object":
        inner = field.get("additionalProperties")
        return f"mapping of {_type(inner, definitions)}" if isinstance(inner, dict) else "mapping"
    words = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}
    name = "time" if field.get("format") == "date-time" else words.get(field.get("type", ""), "any")
    limits = [f"{word} {field[limit]:g}" for limit, word in LIMITS.items() if limit in field]
    return name + (f" {' and '.join(limits)}" if limits else "")
