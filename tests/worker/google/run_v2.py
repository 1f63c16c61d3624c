"""Version 2 of a fake Cloud Run: resources with full names, and long-running operations."""

import itertools
from collections.abc import Mapping

from tests.worker.google.executions import CloudRun, Execution, Job, Json, Refused, attempt

PREFIX = "run.projects.locations."
STATES = {True: "CONDITION_SUCCEEDED", False: "CONDITION_FAILED", None: "CONDITION_PENDING"}
TYPES = "type.googleapis.com/google.cloud.run.v2."
REASONS = {
    "failed": "NON_ZERO_EXIT_CODE",
    "cancelled": "CANCELLED",
    "timeout": "NON_ZERO_EXIT_CODE",
}


class RunV2:
    """Answers the methods that are asked for by their ids."""

    def __init__(self, cloud_run: CloudRun) -> None:
        self._run = cloud_run
        self._operations: dict[str, Json] = {}
        self._numbers = itertools.count()

    async def answer(
        self,
        method: str,
        region: str,
        path: Mapping[str, str],
        query: Mapping[str, str],
        body: Json,
    ) -> Json:
        """The body of an answer. Raises `Refused`."""
        run = self._run
        if path["locationsId"] != region:
            raise Refused(400, "INVALID_ARGUMENT", f"location {path['locationsId']} is not here")
        parent = f"projects/{path['projectsId']}/locations/{region}"
        if method == f"{PREFIX}operations.get":
            return self._operations[f"{parent}/operations/{path['operationsId']}"]
        if method == f"{PREFIX}jobs.create":
            job = run.create(self._asked_for(region, query["jobId"], body))
            return self._operation(parent, _job(parent, job), "Job")
        if method == f"{PREFIX}jobs.list":
            jobs = run.all(region)
            first = int(query.get("pageToken", 0))
            more = {"nextPageToken": str(first + 1)} if first + 1 < len(jobs) else {}
            return {"jobs": [_job(parent, job) for job in jobs[first : first + 1]], **more}
        job = run.job(region, path["jobsId"])
        match method.removeprefix(f"{PREFIX}jobs."):
            case "get":
                return _job(parent, job)
            case "run":
                return self._operation(parent, _execution(parent, run.run(job)), "Execution")
            case "delete":
                await run.delete(job)
                return self._operation(parent, _job(parent, job), "Job")
            case "executions.list":
                return {"executions": [_execution(parent, each) for each in job.executions]}
        execution = run.execution(region, path["executionsId"])
        match method.removeprefix(f"{PREFIX}jobs.executions."):
            case "get":
                return _execution(parent, execution)
            case "cancel":
                await run.cancel(execution)
                return self._operation(parent, _execution(parent, execution), "Execution")
            case "tasks.list":
                name = f"{_execution(parent, execution)['name']}/tasks/{execution.name}-task0"
                task = {"name": name, "index": 0, "lastAttemptResult": attempt(execution)}
                return {"tasks": [task]}
        raise Refused(501, "UNIMPLEMENTED", f"the fake has no {method}")

    def _operation(self, parent: str, subject: Json, type: str) -> Json:
        """An operation that goes on; whoever looks at it again finds it done."""
        name = f"{parent}/operations/{next(self._numbers)}"
        described = {"@type": f"{TYPES}{type}", **subject}
        self._operations[name] = {"name": name, "done": True, "response": described}
        if subject.get("terminalCondition", {}).get("state") == STATES[False]:
            error = {"code": 5, "message": subject["terminalCondition"]["message"]}
            self._operations[name] = {"name": name, "done": True, "error": error}
        return {"name": name, "metadata": described}

    def _asked_for(self, region: str, name: str, body: Json) -> Job:
        task = body["template"]["template"]
        [container] = task["containers"]
        environment = {
            entry["name"]: self._run.value(entry, "valueSource", "secret", "version")
            for entry in container.get("env", [])
        }
        return Job(
            region,
            name,
            body,
            container["image"],
            [*container.get("command", []), *container.get("args", [])],
            environment,
            float(task.get("timeout", "600s").removesuffix("s")),
            task.get("maxRetries", 3) + 1,
        )


def _job(parent: str, job: Job) -> Json:
    condition = {"type": "Ready", "state": STATES[job.is_ready]}
    if job.is_ready is False:
        message = f"Image '{job.image}' not found."
        condition |= {"reason": "CONTAINER_MISSING", "message": message}
    name = f"{parent}/jobs/{job.name}"
    described = {
        **job.body,
        "name": name,
        "createTime": job.made_at,
        "terminalCondition": condition,
    }
    for execution in job.executions[-1:]:
        latest = {"name": execution.name, "createTime": execution.made_at}
        if execution.ended_at:
            latest["completionTime"] = execution.ended_at
        described["latestCreatedExecution"] = latest
    return described


def _execution(parent: str, execution: Execution) -> Json:
    job = execution.job
    template = job.body["template"]
    completed: Json = {"type": "Completed", "state": "CONDITION_RECONCILING"}
    if execution.end == "succeeded":
        completed["state"] = "CONDITION_SUCCEEDED"
    elif execution.end:
        completed |= {"state": "CONDITION_FAILED", "executionReason": REASONS[execution.end]}
        if execution.message:
            told = f"Task {execution.name}-task0 failed with message: {execution.message}"
            completed["message"] = told
    return {
        "name": f"{parent}/jobs/{job.name}/executions/{execution.name}",
        "job": job.name,
        "createTime": execution.made_at,
        "labels": template.get("labels", {}),
        "annotations": template.get("annotations", {}),
        "template": template["template"],
        "conditions": [completed],
    }
