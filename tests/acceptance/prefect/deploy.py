"""Deploys flows with Prefect's own `flow.deploy`, each named like its pool: deploy.py POOL FLOW [FLOW …]."""

import sys
from pathlib import Path

from prefect import flow

POOL, *NAMES = sys.argv[1:]

for name in NAMES:
    source = flow.from_source(source=str(Path(__file__).parent), entrypoint=f"flows.py:{name}")
    source.deploy(name=POOL, work_pool_name=POOL, ignore_warnings=True)
