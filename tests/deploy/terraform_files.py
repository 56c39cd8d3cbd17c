"""Terraform files against the provider's schema, each other, and rules of security; read with python-hcl2.

Terraform's own ``validate`` asks the provider for its schema, which takes a network; this takes it from
``provider_schema.json`` (see ``tools/provider_schema.py``). Nested structures may be written there as blocks or as
values: which of the two the provider wants, its bindings don't tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

SCHEMA = Path(__file__).with_name("provider_schema.json")
META = {"count", "depends_on", "for_each", "lifecycle", "provider"}
BLOCK = "__is_block__"
COMMENTS = ("__comments__", "__inline_comments__")
EVERYBODY = ("account users", "users")


@dataclass(frozen=True)
class Module:
    """The files of one folder as one.

    Args:
        folder: where they are.
        blocks: kind -> its blocks, each with its labels.
    """

    folder: Path
    blocks: dict[str, list[tuple[tuple[str, ...], dict[str, Any]]]]

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Blocks of a kind by their last label."""
        return {labels[-1]: body for labels, body in self.blocks.get(kind, [])}

    @property
    def required(self) -> set[str]:
        """Variables without a default."""
        return {name for name, body in self.of("variable").items() if "default" not in body}


def read_module(folder: Path) -> Module:
    """Read every ``*.tf`` of a folder."""
    blocks: dict[str, list[tuple[tuple[str, ...], dict[str, Any]]]] = {}
    for file in sorted(folder.glob("*.tf")):
        for kind, found in _parsed(file.read_text()).items():
            for entry in found:
                blocks.setdefault(kind, []).extend(_labelled(entry))
    return Module(folder, blocks)


def read_values(file: Path) -> dict[str, Any]:
    """What a ``.tfvars`` file gives."""
    return _parsed(file.read_text())


def find_faults(root: Path) -> list[str]:
    """Everything that is wrong in a root module and the modules under it; each with its place."""
    folders = [root, *sorted(path for path in (root / "modules").iterdir() if path.is_dir())]
    modules = {folder.resolve(): read_module(folder) for folder in folders}
    found: list[str] = []
    for module in modules.values():
        place = module.folder.relative_to(root.parent)
        faults = (*schema_faults(module), *reference_faults(module, modules), *security_faults(module))
        found += [f"{place}: {fault}" for fault in faults]
    for file in sorted((root / "environments").glob("*.tfvars")):
        given, main = set(read_values(file)), modules[root.resolve()]
        found += [f"{file.name}: {name} is no variable" for name in given - set(main.of("variable"))]
        found += [f"{file.name}: {name} is not given" for name in main.required - given]
    return found


def schema_faults(module: Module) -> Iterator[str]:
    """Resources, attributes and blocks that the provider does not know, and those that it misses."""
    for labels, body in module.blocks.get("resource", []):
        kind, place = labels[0].removeprefix("databricks_"), ".".join(labels)
        if kind not in provider_schema() or not labels[0].startswith("databricks_"):
            yield f"{place}: the provider has no resource {labels[0]}"
        else:
            given = {name: value for name, value in body.items() if name not in META}
            yield from _body_faults(given, "", provider_schema()[kind], place)
    for labels, body in module.blocks.get("provider", []):
        yield from _body_faults(body, "", provider_schema()["provider"], ".".join(labels))


def reference_faults(module: Module, modules: dict[Path, Module]) -> Iterator[str]:
    """Names that nothing declares, declarations that nothing uses, and calls of modules that don't fit them."""
    text = " ".join(file.read_text() for file in module.folder.glob("*.tf"))
    declared = set(module.of("variable"))
    for kind, known in (
        ("var", declared),
        ("local", {name for _, body in module.blocks.get("locals", []) for name in body} - {BLOCK}),
        ("module", set(module.of("module"))),
    ):
        named = set(re.findall(rf"\b{kind}\.(\w+)", text))
        yield from (f"{kind}.{name} is not declared" for name in sorted(named - known))
        if kind != "module":
            yield from (f"{kind}.{name} is not used" for name in sorted(known - named))
    for name, body in module.of("module").items():
        called = modules.get((module.folder / _text(body["source"])).resolve())
        if called is None:
            yield f"module.{name}: there is nothing at {_text(body['source'])}"
            continue
        given = set(body) - {"source", BLOCK} - META
        yield from (f"module.{name}: {key} is no variable of it" for key in sorted(given - set(called.of("variable"))))
        yield from (f"module.{name}: {key} is not given" for key in sorted(called.required - given))
        taken = set(re.findall(rf"\bmodule\.{name}\.(\w+)", text))
        yield from (f"module.{name} has no output {key}" for key in sorted(taken - set(called.of("output"))))
    for kind, names in _resources(module).items():
        for taken in re.findall(rf"(?<![.\w\"]){kind}\.(\w+)", text):
            if taken not in names:
                yield f"{kind}.{taken} is not declared"


def security_faults(module: Module) -> Iterator[str]:
    """What should not stand in files that many read, or gives more to more people than the job needs."""
    for file in module.folder.rglob("*.tf*"):
        text = file.read_text()
        if re.search(r"[\w.+-]+@[\w-]+\.\w+", text):
            yield f"{file.name} has an e-mail address"
        if re.search(r"https?://[\w-]+\.(cloud\.databricks|azuredatabricks|gcp\.databricks)", text):
            yield f"{file.name} names a host"
        if re.search(r"\b(dapi|dose|AKIA)[0-9A-Za-z]{12,}", text):
            yield f"{file.name} has a token"
    for labels, body in module.blocks.get("provider", []):
        for name in sorted(set(body) & {"host", "token", "password", "client_secret", "username"}):
            yield f"provider {labels[0]}: {name} comes from the environment"
    for name, body in module.of("variable").items():
        for key in ("type", "description", "validation"):
            if key not in body:
                yield f"variable {name} has no {key}"
        if re.search("token|password|secret", name) and body.get("sensitive") is not True:
            yield f"variable {name} is not sensitive"
    for name, body in module.of("output").items():
        if "description" not in body:
            yield f"output {name} has no description"
    for labels, body in module.blocks.get("resource", []):
        place = ".".join(labels)
        for key, value in _leaves(body):
            if key == "privileges" and "ALL" in str(value):
                yield f"{place} grants all privileges"
            if key in ("principal", "group_name") and _text(value) in EVERYBODY:
                yield f"{place} grants to everybody"
            if key == "permission_level" and _text(value) in ("CAN_MANAGE", "IS_OWNER"):
                yield f"{place} lets others manage"
            if key == "user_name":
                yield f"{place} names a person"
        if labels[0] == "databricks_job":
            for wanted in ("run_as", "max_concurrent_runs"):
                if wanted not in body:
                    yield f"{place} has no {wanted}"
    for _, body in module.blocks.get("terraform", []):
        for provider in body.get("required_providers", []):
            for name, wanted in provider.items():
                if name != BLOCK and "version" not in wanted:
                    yield f"provider {name} has no version"


@cache
def _parsed(text: str) -> dict[str, Any]:
    content: dict[str, Any] = _without_comments(hcl2.loads(text))
    return content


def _without_comments(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_comments(part) for key, part in value.items() if key not in COMMENTS}
    return [_without_comments(part) for part in value] if isinstance(value, list) else value


@cache
def provider_schema() -> dict[str, dict[str, dict[str, str]]]:
    """Resource -> structure -> attribute -> type; see ``tools/provider_schema.py``."""
    return json.loads(SCHEMA.read_text())["resources"]


def _body_faults(
    body: dict[str, Any], structure: str, structures: dict[str, dict[str, str]], place: str
) -> Iterator[str]:
    known, given = structures[structure], set()
    for name, value in _with_dynamic(body):
        kind = known.get(name, "").rstrip("!")
        given.add(name)
        if not kind:
            yield f"{place}: there is no {name} in {structure or 'the resource'}"
            continue
        blocks = value if isinstance(value, list) and all(isinstance(part, dict) for part in value) else None
        inside = kind.removesuffix("[]")
        if inside in structures:
            yield from (f for part in blocks or () for f in _body_faults(part, inside, structures, f"{place}.{name}"))
            if blocks and len(blocks) > 1 and not kind.endswith("[]"):
                yield f"{place}: {name} stands there {len(blocks)} times"
        elif blocks and any(BLOCK in part for part in blocks):
            yield f"{place}: {name} is a {kind}, and no block"
        elif not _fits(value, kind):
            yield f"{place}: {name} is a {kind}, and not {value}"
    missed = sorted(name for name, kind in known.items() if kind.endswith("!") and name not in given)
    yield from (f"{place}: {name} is missing" for name in missed)


def _with_dynamic(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Attributes and blocks, those that are made in a loop like those that are written out."""
    for name, value in body.items():
        if name == "dynamic":
            for entry in value:
                for label, made in entry.items():
                    yield label.strip('"'), made["content"]
        elif name != BLOCK:
            yield name, value


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, str) and value.startswith("${"):
        return True
    kinds = {"string": str, "number": (int, float), "bool": bool, "list": list, "map": dict}
    return isinstance(value, kinds[kind]) and not (kind == "number" and isinstance(value, bool))


def _labelled(entry: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    if BLOCK in entry:
        yield (), entry
        return
    for label, inside in entry.items():
        for labels, body in _labelled(inside):
            yield (label.strip('"'), *labels), body


def _leaves(body: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(body, dict):
        for key, value in body.items():
            yield key, value
            yield from _leaves(value, key)
    elif isinstance(body, list):
        for part in body:
            yield from _leaves(part, name)


def _resources(module: Module) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for labels, _ in module.blocks.get("resource", []):
        found.setdefault(labels[0], set()).add(labels[1])
    return found


def _text(value: Any) -> str:
    return str(value).strip('"')
