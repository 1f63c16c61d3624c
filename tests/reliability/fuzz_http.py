"""Fuzzes every operation of the API's description: no request of a client is a server's error.

`python -m tests.reliability.fuzz_http --db sqlite --seconds 600 --requests 5000 --seed 1`
"""

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.conftest import BIN, RunningServer, start_server, stop_process
from tests.postgres import cluster

ROUND_SECONDS = 120
# What the answers must be. Whether bad data is refused is left out: stock clients rely on
# numbers in texts and nulls that mean "the default". So is whether data that the description
# allows is accepted, since rules between fields are not in it, and whether what was made is found:
# that check also asks for names that it never made.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,ignored_auth,use_after_free,"
    "unsupported_method"
)


@dataclass
class Figures:
    """What came of the requests so far."""

    requests: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    schema_breaks: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)  # operations that did what they are for
    operations: set[str] = field(default_factory=set)

    @property
    def server_errors(self) -> int:
        """Answers that blame the server."""
        return sum(n for status, n in self.statuses.items() if status.startswith("5"))

    def add(self, report: Path) -> None:
        """Add a report of schemathesis: a line of JSON for each event."""
        with report.open(encoding="utf-8") as lines:
            for line in lines:
                if scenario := json.loads(line).get("ScenarioFinished"):
                    self._add_scenario(scenario["recorder"])

    def _add_scenario(self, recorder: dict[str, Any]) -> None:
        interactions = recorder.get("interactions", {})
        for exchange in interactions.values():
            self.requests += 1
            answer = exchange.get("response")
            if answer is None:
                self.unanswered += 1
                self._keep_example("no answer", exchange)
                continue
            status = str(answer["status_code"])
            self.statuses[status] += 1
            if status.startswith("5"):
                self._keep_example(status, exchange)
        for case, checks in recorder.get("checks", {}).items():
            failed = [check["name"] for check in checks if check["status"] == "failure"]
            for name in failed:
                self.schema_breaks[f"{name} {recorder['label']}"] += 1
            if failed and case in interactions:
                self._keep_example(" ".join(failed), interactions[case])
        for id, case in recorder.get("cases", {}).items():
            answer = interactions.get(id, {}).get("response") or {}
            if answer.get("status_code", 404) not in (401, 404, 405, 415, 422):
                self.reached.add(f"{case['value']['method']} {case['value']['path']}")

    def _keep_example(self, why: str, exchange: dict[str, Any]) -> None:
        if len(self.examples) < 50:
            request, answer = exchange["request"], exchange.get("response") or {}
            self.examples.append(
                f"{why}: {request['method']} {request['uri']} {_text(request.get('body'))} "
                f"-> {answer.get('status_code')} {_text(answer.get('content'))}"
            )


def _text(content: dict[str, str] | None) -> str:
    """The beginning of a body as reports have it."""
    return repr(base64.b64decode(content["$base64"]))[:400] if content else ""


@contextmanager
def running_server(db: str) -> Iterator[RunningServer]:
    """A server of its own on an empty database of that kind."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="forebay-fuzz-")))
        options = ["--no-services"]
        if db == "postgres":
            options += ["--database-url", stack.enter_context(cluster()).new_database()]
        server = start_server(home, *options)
        stack.callback(stop_process, server.process)
        yield server


def make_objects(server: RunningServer, end: str) -> dict[str, dict[str, str]]:
    """Make one object of each kind whose names have that end; how paths lead to them."""
    headers = {"authorization": f"Bearer {server.api_key}"}
    with httpx.Client(base_url=server.api_url, headers=headers, timeout=60) as api:

        def made(path: str, **body: Any) -> str:
            answer = api.post(path, json=body)
            answer.raise_for_status()
            return str(answer.json()["id"])

        pool, queue, flow, name = (f"{of}-{end}" for of in ("pool", "queue", "flow", "name"))
        made("/work_pools/", name=pool, type="process", concurrency_limit=2)
        queue_id = made(f"/work_pools/{pool}/queues", name=queue)
        flow_id = made("/flows/", name=flow)
        deployment = made("/deployments/", name=name, flow_id=flow_id, work_pool_name=pool)
        run = made(f"/deployments/{deployment}/create_flow_run")
        schedules = [{"schedule": {"interval": 3600}}]
        schedule = api.post(f"/deployments/{deployment}/schedules", json=schedules).json()[0]
        variable = made("/variables/", name=name, value=1)
        artifact = made("/artifacts/", key=name, data=[{"a": 1}], flow_run_id=run)
        made("/v2/concurrency_limits/", name=name, limit=5)
        tag_limit = made("/concurrency_limits/", tag=name, concurrency_limit=5)
        heartbeat = {"name": name, "heartbeat_interval_seconds": 30}
        api.post(f"/work_pools/{pool}/workers/heartbeat", json=heartbeat).raise_for_status()
        kind = made("/block_types/", name=name, slug=name)
        shape = made("/block_schemas/", block_type_id=kind, fields={"title": name})
        of_kind = {"block_type_id": kind, "block_schema_id": shape}
        block = made("/block_documents/", name=name, data={}, **of_kind)
    # Each path fulfils at most one of these.
    return {
        "/work_pools/{name}": {"path.name": pool},
        "/work_pools/{pool}/queues": {"path.name": queue, "path.pool": pool},
        "/work_pools/{pool}/workers": {"path.name": name, "path.pool": pool},
        "/work_queues/": {"path.id": queue_id, "path.name": queue},
        "/flows/": {"path.id": flow_id, "path.name": flow},
        "/deployments/name/": {"path.flow_name": flow, "path.deployment_name": name},
        "/deployments/{id}": {"path.id": deployment, "path.schedule_id": schedule["id"]},
        "/flow_runs/": {"path.id": run},
        "/flow_run_states/": {"query.flow_run_id": run},
        "/variables/": {"path.id": variable, "path.name": name},
        "/artifacts/": {"path.id": artifact, "path.key": name},
        "/v2/concurrency_limits/{id_or_name}": {"path.id_or_name": name},
        "/api/concurrency_limits/": {"path.id": tag_limit, "path.tag": name},
        "/collections/": {"path.view": "aggregate-worker-metadata"},
        "/block_types/{id}": {"path.id": kind},
        "/block_types/slug/": {"path.slug": name, "path.block_document_name": name},
        "/block_schemas/{id}": {"path.id": shape},
        "/block_documents/{id}": {"path.id": block},
    }


def write_configuration(path: Path, parameters: dict[str, dict[str, str]]) -> None:
    """Write the configuration of schemathesis under which paths lead to the made objects."""
    lines = []
    for pattern, values in parameters.items():
        escaped = pattern.replace("{", r"\\{").replace("}", r"\\}")
        # What is deleted would be missing to the rest; rounds that are not led delete, too.
        lines += ["[[operations]]", f'include-name-regex = "^(GET|POST|PATCH) .*{escaped}"']
        lines += ["[operations.parameters]"]
        lines += [f'"{name}" = "{value}"' for name, value in values.items()]
    path.write_text("\n".join(lines), "utf-8")


def fuzz_once(server: RunningServer, folder: Path, seed: int, seconds: int) -> Path:
    """Run schemathesis for about `seconds`; its report."""
    report = folder / f"report-{seed}.ndjson"
    configuration = folder / f"{seed}.toml"
    # Every other round leads to objects that exist; the rest has strange names in paths, and
    # follows what it makes itself.
    is_led = seed % 2 == 1
    write_configuration(configuration, make_objects(server, str(seed)) if is_led else {})
    phases = "examples,coverage,fuzzing" + ("" if is_led else ",stateful")
    command = [BIN / "schemathesis", "--config-file", configuration, "run"]
    command += [f"{server.api_url}/openapi.json", "--checks", CHECKS, "--seed", str(seed)]
    command += ["--phases", phases]
    command += ["-H", f"Authorization: Bearer {server.api_key}", "--max-time", str(seconds)]
    command += ["--continue-on-failure", "--no-shrink", "--request-timeout", "30"]
    command += ["--suppress-health-check", "all"]
    command += ["--report", "ndjson", "--report-ndjson-path", report, "--output-sanitize", "false"]
    with (folder / "schemathesis.log").open("w") as log:
        environment = {**os.environ, "NO_COLOR": "1"}
        subprocess.run(command, check=False, stdout=log, stderr=log, cwd=folder, env=environment)
    if not report.exists():
        raise RuntimeError((folder / "schemathesis.log").read_text()[-2000:])
    return report


def fuzz(db: str, seconds: int, requests: int, seed: int) -> Figures:
    """Fuzz a server on an empty database until there were enough requests, or time is up."""
    figures = Figures()
    end = time.monotonic() + seconds
    with running_server(db) as server, tempfile.TemporaryDirectory() as folder:
        described = httpx.get(f"{server.api_url}/openapi.json", timeout=60).json()["paths"]
        figures.operations = {f"{m.upper()} {path}" for path in described for m in described[path]}
        while not requests or figures.requests < requests:
            left = int(end - time.monotonic())
            if left < 1:
                break
            figures.add(fuzz_once(server, Path(folder), seed, min(left, ROUND_SECONDS)))
            seed += 1
    return figures


def main() -> int:
    """Fuzz as the arguments say; 0 when every bound holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    figures = fuzz(**vars(arguments))
    for example in figures.examples:
        sys.stdout.write(example + "\n")
    is_ok = not (figures.server_errors or figures.schema_breaks or figures.unanswered)
    line = {
        "name": "fuzz_http",
        **vars(arguments),
        "sent": figures.requests,
        "statuses": dict(sorted(figures.statuses.items())),
        "server_errors": figures.server_errors,
        "unanswered": figures.unanswered,
        "schema_breaks": dict(figures.schema_breaks),
        "operations": len(figures.operations),
        "never_reached": sorted(figures.operations - figures.reached),
        "ok": is_ok and figures.requests >= arguments.requests,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    return 0 if line["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
