"""The registry's pages, made from the declarations and the examples.

    python -m forebay_provider.docs [--check]

Run it in the root of the repository. With --check nothing is written and stale pages fail.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from forebay_provider.data_sources import DATA_SOURCES
from forebay_provider.ephemeral import EPHEMERALS
from forebay_provider.framework.pages import code, function_page, page
from forebay_provider.functions import FUNCTIONS
from forebay_provider.provided import PREFIX, AnyResource
from forebay_provider.provider_block import ProviderConfig
from forebay_provider.resources import RESOURCES

_INSTALLATION = f"""\
The provider is a Python program. `forebay provider install` puts it into a filesystem mirror and
prints the CLI configuration that names the mirror; then `terraform init` finds it there and
writes its checksum into the lock file.

{code("shell", 'pip install "forebay[provider]"' + chr(10) + "forebay provider install")}

The archives of a release hold a launcher instead, the same for every machine. It starts the package
`forebay[provider]` of exactly its own version, with the Python that `FOREBAY_PYTHON` names, with
that of `~/.forebay/provider/venv` or with one of the search path. They fit a registry, a
`filesystem_mirror` and, with the index files that `make provider-release` writes, a
`network_mirror` on any static web server.

## Debugging

`TF_LOG_PROVIDER=TRACE` logs every call and every request with its status and time, and no secret.
`terraform-provider-forebay --debug` serves until Ctrl-C and prints the variable
`TF_REATTACH_PROVIDERS` that makes Terraform use that process."""

_SECURITY = """\
- Terraform and the provider talk over a Unix socket in a folder that only the user can enter,
  encrypted with a certificate whose key is kept in `$FOREBAY_HOME/provider`, readable by the
  user alone. Terraform checks the provider's certificate; the provider does not check
  Terraform's, because gRPC's TLS library does not know its signature scheme. Whoever can read
  the user's files could pose as the provider.
- Tokens are sensitive: they appear in no diagnostic and no log line.
- While a provider argument is not known yet, no server is asked, and never another one."""


def pages(root: Path) -> Iterator[tuple[str, str]]:
    """Every page with its path below the root."""
    examples = root / "examples"
    yield (
        "docs/index.md",
        page(
            "Provider: forebay",
            "forebay Provider",
            ProviderConfig,
            sections=[
                ("Example Usage", _example(examples / "provider/provider.tf")),
                ("Installation", _INSTALLATION),
            ],
            after=[("Security", _SECURITY)],
        ),
    )
    for resource in RESOURCES:
        name = PREFIX + resource.name
        folder = examples / "resources" / name
        yield (
            f"docs/resources/{resource.name}.md",
            page(
                f"{name} Resource - forebay",
                f"{name} (Resource)",
                resource.model,
                sections=[("Example Usage", _example(folder / "resource.tf"))],
                after=[("Import", _import(resource, folder))],
            ),
        )
    for source in DATA_SOURCES:
        name = PREFIX + source.name
        file = examples / "data-sources" / name / "data-source.tf"
        yield (
            f"docs/data-sources/{source.name}.md",
            page(
                f"{name} Data Source - forebay",
                f"{name} (Data Source)",
                source.model,
                sections=[("Example Usage", _example(file))],
            ),
        )
    for ephemeral in EPHEMERALS:
        name = PREFIX + ephemeral.name
        file = examples / "ephemeral-resources" / name / "ephemeral-resource.tf"
        yield (
            f"docs/ephemeral-resources/{ephemeral.name}.md",
            page(
                f"{name} Ephemeral Resource - forebay",
                f"{name} (Ephemeral Resource)",
                ephemeral.model,
                sections=[("Example Usage", _example(file))],
            ),
        )
    for function in FUNCTIONS:
        file = examples / "functions" / function.name / "function.tf"
        yield (
            f"docs/functions/{function.name}.md",
            function_page(f"{function.name} function - forebay", function, example=_example(file)),
        )


def _example(file: Path) -> str:
    return code("terraform", file.read_text("utf-8"))


def _import(resource: AnyResource, folder: Path) -> str:
    commands = code("shell", (folder / "import.sh").read_text("utf-8"))
    return f"The import ID is {resource.import_doc}.\n\n{commands}"


def write(root: Path) -> None:
    """Write every page."""
    for path, text in pages(root):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")


def stale(root: Path) -> list[str]:
    """Paths of the pages that are not what `write` would write, and of those it would not."""
    expected = dict(pages(root))
    folders = [
        root / "docs" / name
        for name in ("resources", "data-sources", "ephemeral-resources", "functions")
    ]
    found = {file.relative_to(root).as_posix() for f in folders for file in f.glob("*.md")}
    found |= {"docs/index.md"}

    def differs(path: str) -> bool:
        file = root / path
        return not file.exists() or file.read_text("utf-8") != expected.get(path)

    return sorted(path for path in found | expected.keys() if differs(path))


def main() -> None:
    """Write the pages, or with --check fail when one is stale."""
    if "--check" not in sys.argv[1:]:
        write(Path.cwd())
    elif paths := stale(Path.cwd()):
        sys.exit(f"Stale, run `make docs`: {', '.join(paths)}")


if __name__ == "__main__":
    main()
