"""The pages of worker types, made from their templates, their classes and the examples.

    python -m forebay_worker.type_pages [--check]

Run it in the root of the repository. With --check nothing is written and stale pages fail.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from forebay.pool_types import pool_types
from forebay_worker.base import find_type
from forebay_worker.configuration import type_template
from forebay_worker.installing import ENTRY_POINTS, extra_of

FOLDER = Path("docs/worker-types")
HEAD = "<!-- made by `make docs` from the declarations and the examples -->"


def pages(root: Path) -> Iterator[tuple[Path, str]]:
    """The page of each type of this package, and the list of them."""
    tested = _tested(root / "README.md")
    names = sorted(point.name for point in entry_points(group=ENTRY_POINTS) if _is_own(point))
    listed = [f"- [`{name}`]({name}.md): {pool_types()[name].description}" for name in names]
    yield FOLDER / "README.md", "\n".join([HEAD, "", "# Worker types", "", *listed, ""])
    for name in names:
        yield FOLDER / f"{name}.md", "\n".join(_page(name, tested[name], root))


def _page(name: str, tested: str, root: Path) -> Iterator[str]:
    kind, worker_class = pool_types()[name], find_type(name)
    template = type_template(worker_class)
    yield from (HEAD, "", f"# {kind.display_name}: `{name}`", "", kind.description, "")
    yield from (f"Tested against: {tested}.", "")
    extra = extra_of(name)
    if extra:
        needed = f"`{extra.distribution}[{extra.name}]`"
        yield f"Its libraries are the extra {needed}; a worker that is started with"
        yield from ("`--install-policy if-not-present` installs them.", "")
    if worker_class.outlives_worker:
        yield "What runs outlives its worker; a restarted worker of the same name goes on with it."
    else:
        yield "What runs ends with its worker."
    yield from ("", "## Variables", "", "| variable | type | default | what it is |")
    yield "| --- | --- | --- | --- |"
    required = template["variables"].get("required", [])
    for variable, schema in template["variables"]["properties"].items():
        yield _row(variable, schema, variable in required)
    example = root / "examples" / "worker_types" / name
    told = (example / "README.md").read_text("utf-8").partition("\n")[2].strip()
    pool = (example / "main.tf").read_text("utf-8").strip()
    yield from ("", "## Example", "", told, "", "```terraform", pool, "```", "")


def _row(variable: str, schema: Mapping[str, Any], is_required: bool) -> str:
    default = f"`{json.dumps(schema['default'])}`" if "default" in schema else ""
    told = str(schema.get("description", "")).replace("|", "\\|").replace("\n", " ")
    return (
        f"| `{variable}` | {_type(schema)} | {'required' if is_required else default} | {told} |"
    )


def _type(schema: Mapping[str, Any]) -> str:
    """The words for a variable's schema; those of the alternatives that it has."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if parts := schema.get("anyOf") or schema.get("allOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(part) for part in parts))
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _tested(readme: Path) -> dict[str, str]:
    """What the README says of each type's peer, by type."""
    found: dict[str, str] = {}
    for names, told in re.findall(
        r"^\| (`.+?`) \| (.+) \|$", readme.read_text("utf-8"), re.MULTILINE
    ):
        found |= dict.fromkeys(re.findall(r"`([^`]+)`", names), told)
    return found


def _is_own(point: Any) -> bool:
    return point.dist is not None and point.dist.name == "forebay"


def main() -> None:
    """Write the pages, or with --check fail when one is stale or is nobody's."""
    expected = dict(pages(Path()))
    if "--check" not in sys.argv[1:]:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for path, text in expected.items():
            path.write_text(text, "utf-8")
        return
    found = {path: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
    stale = sorted(
        str(path) for path in {*expected, *found} if expected.get(path) != found.get(path)
    )
    if stale:
        sys.exit(f"Stale, run `make docs`: {', '.join(stale)}")


if __name__ == "__main__":
    main()
