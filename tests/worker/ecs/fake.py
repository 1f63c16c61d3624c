"""ECS, CloudWatch Logs and a VPC on a free port, with faults on demand.

Requests and answers are checked against botocore's own service model; containers are real
processes.
"""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.worker.ecs.model import NotInTheModel, check_answer, check_request
from tests.worker.ecs.tasks import Task, a_task
from tests.worker.local_process import listening

Json = dict[str, Any]

KEY = "AKIAFOREBAY"
REGION = "eu-test-1"
ARN = f"arn:aws:ecs:{REGION}:123456789012"
SUBNETS = {"vpc-default": ["subnet-a", "subnet-b"], "vpc-other": ["subnet-c"]}
SERVICES = {"AmazonEC2ContainerServiceV20141113": "ecs", "Logs_20140328": "logs"}
MAX_OVERRIDES = 8192
FULL = "full"  # a cluster whose account has no more room
QUOTA = "You've reached the limit on the number of vCPUs you can run concurrently"


class Refused(Exception):
    """What the service answers instead."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class FakeAws:
    """A running stand-in."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[tuple[str, Json]] = []  # operation and body
        self.not_in_the_model: list[str] = []
        self.definitions: dict[str, list[Json]] = defaultdict(list)  # by family, by revision
        self.tasks: dict[str, Task] = {}  # by ARN
        self.clusters = ["default", "batch", FULL]
        self.refusals: dict[str, list[Refused]] = defaultdict(list)  # of the next requests
        self.failures: list[Json] = []  # of the next tasks
        self.lost_answers = 0  # of the next tasks
        self.unknown_for = 0  # looks during which new tasks are not known yet
        self._registering: set[str] = set()
        self._tokens: dict[str, str] = {}

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """How a worker finds it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": "/nowhere",
            "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def sent(self, operation: str) -> list[Json]:
        """Bodies of the requests for an operation."""
        return [body for name, body in self.requests if name == operation]

    @property
    def definition(self) -> Json:
        """The only task definition that there is."""
        [revisions] = self.definitions.values()
        [definition] = revisions
        return definition

    async def close(self) -> None:
        """End every process."""
        for task in self.tasks.values():
            await task.close()

    # Operations of ECS.

    async def register_task_definition(self, body: Json) -> Json:
        family = body["family"]
        if family in self._registering:
            raise Refused(
                "ClientException",
                "Too many concurrent attempts to create a new revision of the specified family.",
            )
        self._registering.add(family)
        await asyncio.sleep(0.02)
        self._registering.discard(family)
        if body.get("requiresCompatibilities") == ["FARGATE"]:
            for field in ("cpu", "memory"):
                if field not in body:
                    raise Refused(
                        "ClientException", f"Fargate requires that '{field}' be defined."
                    )
            for container in body["containerDefinitions"]:
                if container.get("secrets") and "executionRoleArn" not in body:
                    raise Refused("ClientException", "Secrets need an execution role ARN.")
        revisions = self.definitions[family]
        made = {
            **body,
            "taskDefinitionArn": f"{ARN}:task-definition/{family}:{len(revisions) + 1}",
            "revision": len(revisions) + 1,
            "status": "ACTIVE",
            "compatibilities": ["EC2", "FARGATE"],
        }
        made["containerDefinitions"] = [
            {"cpu": 0, "essential": True, "environment": [], "mountPoints": [], **container}
            for container in body["containerDefinitions"]
        ]
        revisions.append(made)
        return {"taskDefinition": made}

    async def describe_task_definition(self, body: Json) -> Json:
        return {"taskDefinition": self._definition(body["taskDefinition"])}

    async def deregister_task_definition(self, body: Json) -> Json:
        found = self._definition(body["taskDefinition"])
        found["status"] = "INACTIVE"
        return {"taskDefinition": found}

    async def run_task(self, body: Json) -> Json:
        cluster = body.get("cluster", "default").rpartition("/")[2]
        if cluster not in self.clusters:
            raise Refused("ClusterNotFoundException", "Cluster not found.")
        definition = self._definition(body["taskDefinition"])
        if definition["status"] != "ACTIVE":
            raise Refused("ClientException", "TaskDefinition is inactive")
        _check_combination(body, definition)
        if cluster == FULL:
            return {"tasks": [], "failures": [{"reason": QUOTA}]}
        if self.failures:
            return {"tasks": [], "failures": [self.failures.pop(0)]}
        arn = self._tokens.get(body["clientToken"])
        if arn is None:
            description = a_task(definition, body, f"{ARN}:cluster/{cluster}")
            arn = self._tokens[body["clientToken"]] = description["taskArn"]
            self.tasks[arn] = Task(description, definition)
        if self.lost_answers:
            self.lost_answers -= 1
            raise Refused("InternalFailure", "The answer got lost.", 500)
        return {"tasks": [self.tasks[arn].description], "failures": []}

    async def describe_tasks(self, body: Json) -> Json:
        found, missing = [], []
        for arn in body["tasks"]:
            if self.unknown_for or arn not in self.tasks:
                self.unknown_for = max(0, self.unknown_for - 1)
                missing.append({"arn": arn, "reason": "MISSING"})
                continue
            description = dict(self.tasks[arn].description)
            if "TAGS" not in body.get("include", []):
                del description["tags"]
            found.append(description)
        return {"tasks": found, "failures": missing}

    async def stop_task(self, body: Json) -> Json:
        task = self.tasks.get(body["task"])
        if task is None or self.unknown_for:
            raise Refused("InvalidParameterException", "The referenced task was not found.")
        task.stop(body["reason"])
        return {"task": task.description}

    def _definition(self, name: str) -> Json:
        family, _, revision = name.rpartition("/")[2].partition(":")
        revisions = self.definitions.get(family)
        if not revisions or (revision and int(revision) > len(revisions)):
            raise Refused("ClientException", "Unable to describe task definition.")
        return revisions[int(revision) - 1] if revision else revisions[-1]

    # CloudWatch Logs.

    async def get_log_events(self, body: Json) -> Json:
        wanted = body["logGroupName"], body["logStreamName"]
        for task in self.tasks.values():
            if task.stream == wanted and task.process.lines:
                lines = task.process.lines
                break
        else:
            raise Refused("ResourceNotFoundException", "The specified log stream does not exist.")
        events = [{"timestamp": int(at.timestamp() * 1000), "message": text} for at, text in lines]
        start = int(body.get("nextToken", "f/0").partition("/")[2])
        events = events[start : start + body.get("limit", 10_000)]
        chosen = [each for each in events if each["timestamp"] >= body.get("startTime", 0)]
        if not body.get("startFromHead"):
            chosen = chosen[-body["limit"] :]
        return {
            "events": chosen,
            "nextForwardToken": f"f/{start + len(events)}",
            "nextBackwardToken": f"b/{start}",
        }


@contextmanager
def running_aws() -> Iterator[FakeAws]:
    """A stand-in in a thread of its own."""
    aws = FakeAws()

    async def endpoint(request: Request) -> Response:
        return await _answer(aws, request)

    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
    with listening(app, aws.close) as port:
        aws.port = port
        yield aws
    assert aws.not_in_the_model == []


async def _answer(aws: FakeAws, request: Request) -> Response:
    target, _, operation = request.headers.get("x-amz-target", "").partition(".")
    content = await request.body()
    if not target:
        return _answer_about_network(aws, parse_qs(content.decode()))
    body = json.loads(content)
    aws.requests.append((operation, body))
    try:
        if f"Credential={KEY}/" not in request.headers["authorization"]:
            raise Refused(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        if aws.refusals[operation]:
            raise aws.refusals[operation].pop(0)
        check_request(SERVICES[target], operation, body)
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        found = await getattr(aws, method)(body)
        check_answer(SERVICES[target], operation, found)
    except Refused as refused:
        answer = {"__type": refused.code, "message": refused.message}
        return JSONResponse(answer, refused.status)
    except NotInTheModel as error:
        aws.not_in_the_model.append(str(error))
        return JSONResponse({"__type": "ValidationException", "message": str(error)}, 400)
    return JSONResponse(found)


def _check_combination(body: Json, definition: Json) -> None:
    if body.get("launchType") and body.get("capacityProviderStrategy"):
        raise Refused(
            "InvalidParameterException",
            "Specifying both a launch type and capacity provider strategy is not supported.",
        )
    if definition.get("networkMode") == "awsvpc" and not body.get("networkConfiguration"):
        raise Refused(
            "InvalidParameterException",
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        )
    if len(json.dumps(body.get("overrides", {}))) > MAX_OVERRIDES:
        raise Refused("InvalidParameterException", "Overrides are too long.")


def _answer_about_network(aws: FakeAws, form: dict[str, list[str]]) -> Response:
    action, wanted = form["Action"][0], form["Filter.1.Value.1"][0]
    aws.requests.append((action, {"filter": form["Filter.1.Name"][0], "value": wanted}))
    if action == "DescribeVpcs":
        name, found = "vpcSet", [("vpcId", "vpc-default")]
    else:
        name, found = "subnetSet", [("subnetId", each) for each in SUBNETS.get(wanted, [])]
    items = "".join(f"<item><{key}>{escape(value)}</{key}></item>" for key, value in found)
    text = f"<{action}Response><{name}>{items}</{name}></{action}Response>"
    return Response(text, media_type="text/xml")
