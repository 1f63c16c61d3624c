"""Fuzzes every operation of the API's description: no request of a client is a server's error.

`python -m tests.reliability.fuzz_http --db sqlite --seconds 600 --requests 5000 --seed 1`
"""

import argparse
import base64
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.conftest import BIN, RunningServer, start_server, stop_process
from tests.postgres import cluster
from tests.reliability.fuzz_objects import make_objects

ROUND_REQUESTS, ROUND_SECONDS = 1500, 30
PHASES = ("fuzzing", "coverage", "stateful")  # of schemathesis, in turns
OBJECTS = 3  # of each kind, for each fate
FATES = ("kept", "deleted", "razed")
# Learning from answers costs more than the requests, and the hooks know what there is to learn.
CONFIGURATION = """
[phases.fuzzing.error-feedback]
enabled = false
[phases.fuzzing.extra-data-sources]
responses = false
"""
# What the answers must be. Whether bad data is refused is left out: stock clients rely on
# numbers in texts and nulls that mean "the default". So is whether data that the description
# allows is accepted, since rules between fields are not in it, and whether what was made is found:
# that check also asks for names that it never made. Who may call what is tested role by role
# elsewhere; that check asks each operation thrice more.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,use_after_free,unsupported_method"
)


@dataclass
class Figures:
    """What came of the requests so far."""

    requests: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    schema_breaks: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)  # operations past who asks, and for what
    done: set[str] = field(default_factory=set)  # operations that did what they are for
    operations: set[str] = field(default_factory=set)  # that can do something

    @property
    def server_errors(self) -> int:
        """Answers that blame the server."""
        return sum(n for status, n in self.statuses.items() if status.startswith("5"))

    def add(self, report: Path) -> None:
        """Add a report of schemathesis: a line of JSON for each event."""
        with report.open(encoding="utf-8") as lines:
            for line in lines:
                if not line.endswith("\n"):
                    break  # its writer was ended
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
            status = answer.get("status_code", 404)
            operation = f"{case['value']['method']} {case['value']['path']}"
            if status not in (401, 404, 405, 415, 422):
                self.reached.add(operation)
            if status < 300:
                self.done.add(operation)

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


def write_ground(server: RunningServer, path: Path, seed: int) -> None:
    """Make objects for a round and write what its hooks must know."""
    headers = {"authorization": f"Bearer {server.api_key}"}
    with httpx.Client(base_url=server.api_url, headers=headers, timeout=60) as api:
        own = next(each["id"] for each in api.get("/tokens").json() if each["name"] == "admin")
        ground: dict[str, Any] = {"seed": seed, "own": own}
        for fate in FATES:
            ground[fate] = [make_objects(api, f"{seed}-{fate}-{n}") for n in range(OBJECTS)]
    path.write_text(json.dumps(ground), "utf-8")


def fuzz_once(
    server: RunningServer, folder: Path, seed: int, bounds: list[str], seconds: float
) -> Path:
    """Run schemathesis within `bounds`, and `seconds` at most; its report."""
    report, ground = folder / f"report-{seed}.ndjson", folder / f"ground-{seed}.json"
    write_ground(server, ground, seed)
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION, "utf-8")
    command: list[str | Path] = [BIN / "schemathesis", "--config-file", configuration, "run"]
    command += [f"{server.api_url}/openapi.json", *bounds]
    command += ["--checks", CHECKS, "--seed", str(seed)]
    command += ["-H", f"Authorization: Bearer {server.api_key}"]
    command += ["--continue-on-failure", "--no-shrink", "--request-timeout", "30"]
    command += ["--suppress-health-check", "all", "--generation-database", "none"]
    command += ["--report", "ndjson", "--report-ndjson-path", report, "--output-sanitize", "false"]
    hooks = {
        "SCHEMATHESIS_HOOKS": "tests.reliability.fuzz_hooks",
        "FUZZ_GROUND": str(ground),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    with (folder / "schemathesis.log").open("w") as log:
        environment = {**os.environ, "NO_COLOR": "1", **hooks}
        with suppress(subprocess.TimeoutExpired):  # what it did until then is in the report
            subprocess.run(
                command,
                check=False,
                timeout=seconds,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=environment,
            )
    if not report.exists():
        raise RuntimeError((folder / "schemathesis.log").read_text()[-2000:])
    return report


def fuzz(db: str, seconds: int, requests: int, seed: int) -> Figures:
    """Fuzz a server on an empty database until there were enough requests, or time is up."""
    figures = Figures()
    end = time.monotonic() + seconds
    with running_server(db) as server, tempfile.TemporaryDirectory() as folder:
        described = httpx.get(f"{server.api_url}/openapi.json", timeout=60).json()["paths"]
        figures.operations = {
            f"{method.upper()} {path}"
            for path, methods in described.items()
            for method, operation in methods.items()
            if any(status.startswith("2") for status in operation["responses"])
        }
        for number in count():
            left = end - time.monotonic()
            missing = requests - figures.requests
            if left < 1 or missing <= 0:
                break
            phase = PHASES[number % len(PHASES)]
            bounds = ["--phases", phase]
            if phase == "fuzzing":
                most = min(missing, ROUND_REQUESTS)
                bounds += ["--max-examples", str(math.ceil(most / len(figures.operations)))]
            else:
                bounds += ["--max-time", str(min(math.ceil(left), ROUND_SECONDS))]
            figures.add(fuzz_once(server, Path(folder), seed + number, bounds, left))
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
        "never_done": sorted(figures.operations - figures.done),
        "ok": is_ok and figures.requests >= arguments.requests,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    return 0 if line["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
