"""`forebay doctor`: checks the database; the exit code tells scripts whether all is well."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forebay.cli.output import Output, OutputOption

if TYPE_CHECKING:
    from forebay_server.doctor.findings import Finding
    from forebay_server.settings import ServerSettings

app = typer.Typer(
    help="Check the control plane's database.",
    invoke_without_command=True,
    subcommand_metavar="",
)

EXIT_FINDING = 1


@app.callback()
def doctor(
    database_url: Annotated[
        str | None,
        typer.Option(help="sqlite+aiosqlite:///FILE or postgresql+asyncpg://…; default: as set."),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Check that slots and claims agree with runs, and the schema with this version.

    The server may go on meanwhile. Nothing is changed. Exit code 1 when something is wrong.
    """
    from forebay.cli.output import print_json, print_table
    from forebay_server.cli import read_settings

    found = _check(read_settings(database_url))
    if output is Output.JSON:
        print_json(found)
    else:
        rows = [
            [
                finding.check,
                "ok" if finding.ok else "WRONG",
                finding.detail,
                ", ".join(finding.ids),
            ]
            for finding in found
        ]
        print_table(["Check", "", "Found", "Which"], rows, "")
    if not all(finding.ok for finding in found):
        raise typer.Exit(EXIT_FINDING)


def _check(settings: "ServerSettings") -> "list[Finding]":
    from sqlalchemy.exc import SQLAlchemyError

    from forebay_server.db.engine import Database
    from forebay_server.doctor.findings import Finding
    from forebay_server.doctor.queries import check

    async def examine() -> list[Finding]:
        try:
            return await check(database)
        finally:
            await database.close()

    database = Database(settings.effective_database_url)
    file = Path(database.url.database or "")
    if settings.is_sqlite and not file.exists():
        detail = f"{file} does not exist; `forebay server start` makes it"
        return [Finding(check="database", ok=False, detail=detail)]
    try:
        return asyncio.run(examine())
    except (SQLAlchemyError, OSError) as error:
        reason = getattr(error, "orig", None) or error
        return [Finding(check="database", ok=False, detail=f"it cannot be read: {reason}")]
