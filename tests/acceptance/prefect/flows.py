"""Flows for the real Prefect; this file is imported by its worker and engine, not by the tests."""

import os
import time

from prefect import flow, get_run_logger, pause_flow_run, suspend_flow_run, task
from prefect.artifacts import (
    Artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)


@task
def add(left, right):
    return left + right


@flow(log_prints=True)
def succeeds(x: int = 1):
    print(f"printed {x}")
    get_run_logger().info("sum %d", add(x, 2))


@flow
def fails():
    raise ValueError("no good")


@flow(retries=1, retry_delay_seconds=1)
def succeeds_at_the_second_try():
    from prefect.runtime import flow_run

    if flow_run.run_count < 2:
        raise ValueError("first try")


@flow
def crashes():
    os._exit(9)


@flow
def sleeps(seconds: float = 600):
    get_run_logger().info("sleeping")
    time.sleep(seconds)


@flow
def works_a_while(seconds: float = 5.0):
    time.sleep(seconds)


@flow
def child(x: int) -> int:
    return x + 1


@flow(log_prints=True)
def parent():
    print(f"child says {child(4)}")


@flow(log_prints=True)
def suspends():
    suspend_flow_run(timeout=600)
    print("went on")


@flow(log_prints=True)
def asks():
    print(f"answered {pause_flow_run(wait_for_input=int, timeout=120, poll_interval=1)}")


@task
def tabulates():
    create_table_artifact(key="rows", table=[{"name": "a", "size": float("nan")}])


@flow
def leaves_artifacts():
    create_markdown_artifact(key="notes", markdown="# first")
    create_markdown_artifact(key="notes", markdown="# second", description="newer")
    create_link_artifact(key="site", link="https://example.org", link_text="a site")
    tabulates()
    progress = create_progress_artifact(progress=0.0, key="progress")
    update_progress_artifact(progress, progress=100.0)
    assert Artifact.get("notes").data == "# second"


@flow
def does_nothing():
    return None


@flow
def starts_by_schedule():
    return None
