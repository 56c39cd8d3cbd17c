"""The schema of the Databricks Terraform provider, as a JSON file that the tests check ``terraform/`` by.

The provider can't be asked without a network, and its bindings for Python, which carry the schema, want a runtime of
JavaScript. So what they say is taken from their source, once::

    pip download --no-deps --dest build cdktf-cdktf-provider-databricks
    python tools/provider_schema.py build/cdktf_cdktf_provider_databricks-*.whl tests/deploy/provider_schema.json

The bindings are published no more since December 2025: what the provider has learned after its version 1.99.0 is not
in there.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

PACKAGE = "cdktf_cdktf_provider_databricks"

RESOURCES = (
    "cluster_policy",
    "grant",
    "grants",
    "job",
    "mlflow_experiment",
    "permissions",
    "provider",
    "registered_model",
    "schema",
    "secret_acl",
    "secret_scope",
    "service_principal",
    "volume",
)
"""Modules of the bindings that are kept; ``provider`` has the provider's own settings."""

META = {"connection", "count", "depends_on", "for_each", "lifecycle", "provider", "provisioners"}
"""What Terraform itself takes in every resource."""

PLAIN = {"builtins.str": "string", "jsii.Number": "number", "builtins.bool": "bool"}


def main(arguments: list[str]) -> None:
    """Read the wheel that is named first and write the file that is named second."""
    wheel, out = map(Path, arguments)
    with zipfile.ZipFile(wheel) as archive:
        readme = archive.read(f"{PACKAGE}/__init__.py").decode()
        resources = {name: read_module(archive.read(f"{PACKAGE}/{name}/__init__.py").decode()) for name in RESOURCES}
        stamp = archive.getinfo(f"{PACKAGE}/__init__.py").date_time
    found = re.search(r"provider version (\S+)", readme)
    assert found is not None, f"{wheel} does not say which version of the provider it is of"
    content = {
        "bindings": wheel.name.removesuffix("-py3-none-any.whl").replace("_", "-"),
        "bindings_built": "{:04}-{:02}-{:02}".format(*stamp),
        "provider": found[1],
        "resources": resources,
    }
    out.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")).replace('},"', '},\n"') + "\n")


def read_module(source: str) -> dict[str, Any]:
    """The structures of one resource.

    Returns:
        Structure -> attribute -> its type, and ``!`` where it is required. A type is ``string``, ``number``, ``bool``,
        ``map``, ``list``, or a structure's name, with ``[]`` where there may be several. ``""`` is the resource itself.
    """
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and _is_data(node)]
    names = {node.name for node in classes}
    structures = {node.name: _attributes(node, names) for node in classes}
    (config,) = [name for name in structures if name.endswith("Config") and _derives_from_meta(classes, name)]
    structures[""] = {name: kind for name, kind in structures.pop(config).items() if name not in META}
    return structures


def _is_data(node: ast.ClassDef) -> bool:
    return any(isinstance(d, ast.Call) and ast.unparse(d.func) == "jsii.data_type" for d in node.decorator_list)


def _derives_from_meta(classes: list[ast.ClassDef], name: str) -> bool:
    """Whether a class has what every resource has; the provider's settings have no such base."""
    (node,) = [node for node in classes if node.name == name]
    own = [base for base in node.bases if "TerraformMetaArguments" in ast.unparse(base)]
    return bool(own) or name == "DatabricksProviderConfig"


def _attributes(node: ast.ClassDef, names: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for function in node.body:
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            given = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
            for argument, default in given:
                assert argument.annotation is not None
                # A name that Python keeps for itself has an underscore behind it.
                name = argument.arg.rstrip("_")
                found[name] = _kind(ast.unparse(argument.annotation), names) + ("!" if default is None else "")
    return found


def _kind(annotation: str, names: set[str]) -> str:
    several = "typing.Sequence[" in annotation
    structures = [word for word in re.findall(r"\w+", annotation) if word in names]
    if structures:
        return structures[0] + ("[]" if several else "")
    if "typing.Mapping[" in annotation:
        return "map"
    if several:
        return "list"
    return next((kind for name, kind in PLAIN.items() if name in annotation), "map")


if __name__ == "__main__":
    main(sys.argv[1:])
