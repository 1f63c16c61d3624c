"""Version 1 of a fake Cloud Run: jobs, executions and tasks as Kubernetes would describe them."""

from collections.abc import Mapping

from tests.worker.google.executions import CloudRun, Execution, Job, Json, Refused, attempt

VERSION = "run.googleapis.com/v1"
PREFIX = "run.namespaces."
REASONS = {
    "succeeded": "",
    "failed": "NonZeroExitCode",
    "cancelled": "Cancelled",
    "timeout": "NonZeroExitCode",
}


class RunV1:
    """Answers the methods that are asked for by their ids."""

    def __init__(self, cloud_run: CloudRun) -> None:
        self._run = cloud_run

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
        name = path.get("jobsId") or path.get("executionsId") or ""
        match method.removeprefix(PREFIX):
            case "jobs.create":
                return _job(run.create(self._asked_for(region, body)))
            case "jobs.list":
                jobs = run.all(region)
                first = int(query.get("continue", 0))
                more = {"continue": str(first + 1)} if first + 1 < len(jobs) else {}
                items = [_job(job) for job in jobs[first : first + 1]]
                return {"apiVersion": VERSION, "kind": "JobList", "items": items, "metadata": more}
            case "jobs.get":
                return _job(run.job(region, name))
            case "jobs.run":
                return _execution(run.run(run.job(region, name)))
            case "jobs.delete":
                await run.delete(run.job(region, name))
                return {"status": "Success"}
            case "executions.get":
                return _execution(run.execution(region, name))
            case "executions.cancel":
                execution = run.execution(region, name)
                await run.cancel(execution)
                return _execution(execution)
            case "executions.list":
                job = run.job(region, _selected(query, "run.googleapis.com/job"))
                items = [_execution(each) for each in job.executions]
                return {"apiVersion": VERSION, "kind": "ExecutionList", "items": items}
            case "tasks.list":
                found = run.execution(region, _selected(query, "run.googleapis.com/execution"))
                status: Json = {"index": 0, "lastAttemptResult": attempt(found)}
                task = {"metadata": {"name": f"{found.name}-task0"}, "status": status}
                return {"apiVersion": VERSION, "kind": "TaskList", "items": [task]}
        raise Refused(501, "UNIMPLEMENTED", f"the fake has no {method}")

    def _asked_for(self, region: str, body: Json) -> Job:
        task = body["spec"]["template"]["spec"]["template"]["spec"]
        [container] = task["containers"]
        environment = {
            entry["name"]: self._run.value(entry, "valueFrom", "name", "key")
            for entry in container.get("env", [])
        }
        return Job(
            region,
            body["metadata"]["name"],
            body,
            container["image"],
            [*container.get("command", []), *container.get("args", [])],
            environment,
            float(task.get("timeoutSeconds", 600)),
            task.get("maxRetries", 3) + 1,
        )


def _selected(query: Mapping[str, str], label: str) -> str:
    name, _, value = query["labelSelector"].partition("=")
    assert name == label, query
    return value


def _job(job: Job) -> Json:
    ready = {"type": "Ready", "status": "Unknown" if job.is_ready is None else str(job.is_ready)}
    if job.is_ready is False:
        ready |= {"reason": "ContainerMissing", "message": f"Image '{job.image}' not found."}
    metadata = {**job.body["metadata"], "creationTimestamp": job.made_at}
    status: Json = {"conditions": [ready]}
    for execution in job.executions[-1:]:
        latest = {"name": execution.name, "creationTimestamp": execution.made_at}
        if execution.ended_at:
            latest["completionTimestamp"] = execution.ended_at
        status["latestCreatedExecution"] = latest
    return {**job.body, "metadata": metadata, "status": status}


def _execution(execution: Execution) -> Json:
    job = execution.job
    template = job.body["spec"]["template"]
    completed: Json = {"type": "Completed", "status": "Unknown"}
    if execution.end:
        completed["status"] = str(execution.end == "succeeded")
        completed["reason"] = REASONS[execution.end]
        if execution.message:
            told = f"Task {execution.name}-task0 failed with message: {execution.message}"
            completed["message"] = told
    metadata = template.get("metadata", {})
    labels = {**metadata.get("labels", {}), "run.googleapis.com/job": job.name}
    return {
        "apiVersion": VERSION,
        "kind": "Execution",
        "metadata": {
            **metadata,
            "name": execution.name,
            "namespace": job.body["metadata"]["namespace"],
            "labels": labels,
            "creationTimestamp": execution.made_at,
        },
        "spec": template["spec"],
        "status": {"conditions": [completed]},
    }
