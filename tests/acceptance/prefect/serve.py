"""Serves a flow from this process with Prefect's own `flow.serve`, from soon on every two minutes: serve.py FLOW."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect import flow
from prefect.schedules import Interval

(NAME,) = sys.argv[1:]

if __name__ == "__main__":
    source = flow.from_source(source=str(Path(__file__).parent), entrypoint=f"flows.py:{NAME}")
    soon = Interval(timedelta(minutes=2), anchor_date=datetime.now(UTC) + timedelta(seconds=15))
    source.serve(name="served", schedule=soon, print_starting_message=False)
