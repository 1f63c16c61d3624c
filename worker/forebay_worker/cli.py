"""`forebay worker`: starts a worker, and what `roster` adds. What is heavy is imported when a command runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from forebay_worker.installing import InstallPolicy
from forebay_worker.roster import app as roster

app = typer.Typer(help="Take runs from a pool and execute them.", no_args_is_help=True)


@app.command()
def start(
    pool: Annotated[str, typer.Option("--pool", "-p", help="Pool to serve.", show_default=False)],
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Name of the worker; default: generated.")
    ] = None,
    work_queue: Annotated[
        list[str] | None,
        typer.Option("--work-queue", "-q", help="Queue to serve, made if missing; repeatable."),
    ] = None,
    empty_work_queue: Annotated[
        bool, typer.Option("--empty-work-queue", help="Serve all queues after all.")
    ] = False,
    type: Annotated[
        str | None, typer.Option("--type", "-t", help="Worker type; default: the pool's.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-l", min=1, help="Most runs at once.")
    ] = None,
    prefetch_seconds: Annotated[
        float,
        typer.Option(
            min=0,
            envvar=["FOREBAY_WORKER_PREFETCH_SECONDS", "PREFECT_WORKER_PREFETCH_SECONDS"],
            help="How long before their time runs are looked at.",
        ),
    ] = 10.0,
    run_once: Annotated[
        bool, typer.Option("--run-once", help="Ask for runs once, carry them out and end.")
    ] = False,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds that runs are waited for when stopping.")
    ] = 30.0,
    heartbeat: Annotated[
        int,
        typer.Option(
            min=1,
            max=5,
            envvar="FOREBAY_WORKER_HEARTBEAT_SECONDS",
            help="Seconds between signs of life; four missing ones lose the worker its runs.",
        ),
    ] = 5,
    with_healthcheck: Annotated[
        bool, typer.Option("--with-healthcheck", help="Serve the worker's health over HTTP.")
    ] = False,
    health_port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            envvar="FOREBAY_WORKER_HEALTH_PORT",
            help="Port of --with-healthcheck.",
        ),
    ] = 8080,
    install_policy: Annotated[
        InstallPolicy,
        typer.Option(
            "--install-policy",
            case_sensitive=False,
            help="When the libraries of the worker type are installed, with uv or pip; prompt "
            "asks on a terminal, and elsewhere is never.",
        ),
    ] = InstallPolicy.PROMPT,
    base_job_template: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON or YAML template of a pool that is made."),
    ] = None,
    create_pool_if_not_found: Annotated[
        bool,
        typer.Option(
            "--create-pool-if-not-found/--no-create-pool-if-not-found",
            help="Whether a missing pool is made; --type must be given too.",
        ),
    ] = True,
) -> None:
    """Serve a pool until SIGTERM or Ctrl-C; the first lets runs end, the second does not wait."""
    import asyncio

    from forebay.cli.session import read_object
    from forebay_worker.console import show_logs
    from forebay_worker.loop import WorkerOptions
    from forebay_worker.setup import WorkerRequest, serve

    template: dict[str, Any] | None = None
    if base_job_template:
        template = read_object(str(base_job_template), "--base-job-template")
    request = WorkerRequest(
        pool_name=pool,
        name=name,
        type=type,
        base_job_template=template,
        is_pool_created=create_pool_if_not_found,
        health_port=health_port if with_healthcheck else None,
        install_policy=install_policy,
        heartbeat_seconds=heartbeat,
        options=WorkerOptions(
            queue_names=() if empty_work_queue else tuple(work_queue or ()),
            limit=limit,
            prefetch_seconds=prefetch_seconds,
            grace_seconds=grace,
            run_once=run_once,
        ),
    )
    show_logs()
    asyncio.run(serve(request))


app.registered_commands += roster.registered_commands
