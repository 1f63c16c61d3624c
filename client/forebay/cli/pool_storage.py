"""`forebay work-pool storage`: where Prefect keeps the bundled code of a pool's runs.

Source: Prefect 3.8.4 `work-pool storage`. Forebay stores the steps and never runs them; they are
for Prefect's clients, which upload, and its workers, which execute.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.failures import advice
from forebay.cli.named import SEE_POOLS, PoolName
from forebay.cli.output import Output, OutputOption, print_fields, print_json, say
from forebay.cli.session import connect
from forebay.errors import NotFound

if TYPE_CHECKING:
    from forebay.wire.work_pools import StorageConfiguration

app = typer.Typer(no_args_is_help=True, help="Where bundled code of a pool's runs is kept.")
configure_app = typer.Typer(no_args_is_help=True, help="Choose where it is kept.")
app.add_typer(configure_app, name="configure")

MODULES = {"prefect_aws": "s3", "prefect_gcp": "gcs", "prefect_azure": "azure-blob-storage"}
Bucket = Annotated[str, typer.Option("--bucket", help="Name of the bucket.")]


@app.command()
def inspect(name: PoolName, output: OutputOption = Output.TEXT) -> None:
    """Show where the bundled code of a pool's runs is kept."""
    from forebay.calls import work_pools

    with connect() as client, advice(NotFound, SEE_POOLS):
        storage = client.send(work_pools.read(name)).storage_configuration
    if output is Output.JSON:
        print_json({"type": _kind(storage), **storage.model_dump(mode="json")})
        return
    if _kind(storage) is None:
        say(f"The pool {name!r} keeps no bundles. `forebay work-pool storage configure` lets it.")
        return
    print_fields(
        [
            ("Type", _kind(storage)),
            ("Upload", storage.bundle_upload_step),
            ("Execution", storage.bundle_execution_step),
            ("Block of results", storage.default_result_storage_block_id),
        ]
    )


@configure_app.command()
def s3(
    name: PoolName,
    bucket: Bucket,
    credentials: Annotated[
        str | None,
        typer.Option("--aws-credentials-block-name", help="Name of the block of credentials."),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Keep them in a bucket of AWS S3."""
    inputs = {"bucket": bucket, "aws_credentials_block_name": credentials}
    _configure(name, "prefect_aws", inputs, output)


@configure_app.command()
def gcs(
    name: PoolName,
    bucket: Bucket,
    credentials: Annotated[
        str | None,
        typer.Option("--gcp-credentials-block-name", help="Name of the block of credentials."),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Keep them in a bucket of Google Cloud Storage."""
    inputs = {"bucket": bucket, "gcp_credentials_block_name": credentials}
    _configure(name, "prefect_gcp", inputs, output)


@configure_app.command("azure-blob-storage")
def azure_blob_storage(
    name: PoolName,
    container: Annotated[str, typer.Option("--container", help="Name of the container.")],
    credentials: Annotated[
        str,
        typer.Option(
            "--azure-blob-storage-credentials-block-name",
            help="Name of the block of credentials.",
        ),
    ],
    output: OutputOption = Output.TEXT,
) -> None:
    """Keep them in a container of Azure Blob Storage."""
    inputs: dict[str, str | None] = {
        "container": container,
        "azure_blob_storage_credentials_block_name": credentials,
    }
    _configure(name, "prefect_azure", inputs, output)


def _configure(pool_name: str, module: str, inputs: dict[str, str | None], output: Output) -> None:
    from forebay.calls import work_pools
    from forebay.wire.work_pools import StorageConfiguration, WorkPoolUpdate

    given: dict[str, Any] = {key: value for key, value in inputs.items() if value is not None}
    given["requires"] = module.replace("_", "-")

    with connect() as client, advice(NotFound, SEE_POOLS):
        before = client.send(work_pools.read(pool_name)).storage_configuration
        storage = StorageConfiguration(
            bundle_upload_step={f"{module}.experimental.bundles.upload": given},
            bundle_execution_step={f"{module}.experimental.bundles.execute": given},
            default_result_storage_block_id=before.default_result_storage_block_id,
        )
        client.send(work_pools.update(pool_name, WorkPoolUpdate(storage_configuration=storage)))
        say(f"The pool {pool_name!r} keeps bundles in {MODULES[module]}.", output)
        if output is Output.JSON:
            print_json(client.send(work_pools.read(pool_name)))


def _kind(storage: "StorageConfiguration") -> str | None:
    steps = [step for step in (storage.bundle_upload_step, storage.bundle_execution_step) if step]
    paths = [path for step in steps for path in step]
    kinds = (MODULES.get(path.partition(".")[0]) for path in paths)
    return next((kind for kind in kinds if kind), "unknown") if paths else None
