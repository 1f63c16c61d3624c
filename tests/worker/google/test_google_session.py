"""Tokens, addresses and refusals of Google Cloud, and how long a request is sent again."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2 as httpx
import pytest
from google.oauth2.credentials import Credentials

from forebay_worker.base import StartFailed
from forebay_worker.worker_types import google_session
from forebay_worker.worker_types.cloud_run import CloudRunWorker
from forebay_worker.worker_types.cloud_run_v2 import CloudRunV2Worker
from forebay_worker.worker_types.google_session import (
    GcpCredentials,
    GoogleError,
    GoogleSession,
    endpoint,
    open_session,
)
from forebay_worker.worker_types.google_worker import GoogleWorker
from forebay_worker.worker_types.vertex_ai import VertexAiWorker
from tests.worker.builders import Collector, an_assignment
from tests.worker.google.executions import PROJECT
from tests.worker.google.fake import Cloud
from tests.worker.google.test_google_request import a_configuration

JOBS = "v2/projects/my-project/locations/l/jobs"


class Scripted:
    """Answers of a cloud, in turn, and the requests that asked for them."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def session(self) -> GoogleSession:
        """A session that is given these answers."""
        credentials = Credentials("token")  # type: ignore[no-untyped-call]
        return GoogleSession(credentials, PROJECT, httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answers.pop(0)


def refusal(status: int, message: str = "no", **more: Any) -> httpx.Response:
    """A refusal as Google writes it."""
    headers = more.pop("headers", None)
    body = {"error": {"code": status, "message": message, **more}}
    return httpx.Response(status, json=body, headers=headers)


def too_fast() -> httpx.Response:
    """A rate limit's refusal."""
    metadata = {"quota_metric": "run.googleapis.com/write_requests", "quota_limit_value": "180"}
    return refusal(429, details=[{"reason": "RATE_LIMIT_EXCEEDED", "metadata": metadata}])


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses of sessions, which take no time here; each makes the session's clock go on."""
    paused: list[float] = []

    async def sleep(seconds: float) -> None:
        paused.append(seconds)

    loop = SimpleNamespace(sleep=sleep, Lock=asyncio.Lock, to_thread=asyncio.to_thread)
    monkeypatch.setattr(google_session, "asyncio", loop)
    monkeypatch.setattr(google_session, "time", SimpleNamespace(monotonic=lambda: sum(paused)))
    return paused


# Tokens.


async def test_key_of_a_service_account_gives_one_token_for_many_requests(cloud: Cloud) -> None:
    session = open_session(GcpCredentials(service_account_info=cloud.service_account()))

    for _ in range(3):
        await session.send(
            "POST",
            f"{endpoint('logging')}/v2/entries:list",
            body={"resourceNames": [f"projects/{PROJECT}"], "filter": 'logName="none"'},
        )

    assert session.project == PROJECT
    assert len(cloud.tokens) == 2  # this one, and the static one of other tests
    await session.close()


async def test_credentials_may_be_a_file_or_a_key_s_text(cloud: Cloud, tmp_path: Path) -> None:
    key = cloud.service_account()
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key))

    of_file = open_session(GcpCredentials(service_account_file=str(path)))
    of_text = open_session(
        GcpCredentials.model_validate({"service_account_info": json.dumps(key), "project": "own"})
    )

    assert (of_file.project, of_text.project) == (PROJECT, "own")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (GcpCredentials(service_account_file="/nowhere/key.json"), "No such file"),
        (GcpCredentials(service_account_info={"type": "x"}), "There are no usable Google"),
        (None, "There are no usable Google credentials: .*default credentials"),
    ],
    ids=["file", "key", "none"],
)
def test_credentials_that_cannot_be_read_are_told_of(
    given: GcpCredentials | None, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)

    with pytest.raises(StartFailed, match=told):
        open_session(given)


async def test_token_that_is_refused_is_not_used_again(cloud: Cloud) -> None:
    session = open_session(GcpCredentials(service_account_info=cloud.service_account()))
    url = f"{endpoint('run', 'l')}/{JOBS}/j"
    with pytest.raises(GoogleError, match="not found"):
        await session.send("GET", url)
    cloud.tokens.clear()

    with pytest.raises(GoogleError) as unknown:
        await session.send("GET", url)
    with pytest.raises(GoogleError) as found:
        await session.send("GET", url)

    assert (unknown.value.status, found.value.status) == (401, 404)
    await session.close()


# Addresses.


RUN = "https://europe-west1-run.googleapis.com"
ASKED: dict[str, tuple[type[GoogleWorker[Any]], str]] = {
    "cloud-run": (
        CloudRunWorker,
        f"{RUN}/apis/run.googleapis.com/v1/namespaces/my-project/jobs",
    ),
    "cloud-run-v2": (
        CloudRunV2Worker,
        f"{RUN}/v2/projects/my-project/locations/europe-west1/jobs?jobId=nightly-",
    ),
    "vertex-ai": (
        VertexAiWorker,
        f"{RUN.replace('run', 'aiplatform')}/v1/projects/my-project/locations/europe-west1/customJobs",
    ),
}


@pytest.mark.parametrize("type", ASKED)
async def test_region_project_and_name_decide_where_is_asked(type: str) -> None:
    worker, asked = ASKED[type]
    cloud = Scripted(refusal(403, "you may not"))
    configuration = a_configuration(type, name="nightly")

    with pytest.raises(GoogleError, match="you may not"):
        await worker().begin(cloud.session(), configuration, an_assignment(Collector()))

    [request] = cloud.requests
    assert str(request.url).startswith(asked)
    assert request.headers["authorization"] == "Bearer token"


def test_watch_of_a_custom_job_looks_as_often_as_the_template_says() -> None:
    worker, session = VertexAiWorker(), Scripted().session()
    configuration = a_configuration("vertex-ai", job_watch_poll_interval=7.5)

    job = worker.find(session, configuration, "projects/1/locations/l/customJobs/2")

    assert job is not None
    assert next(job.pauses()) == 7.5


# Refusals.

REFUSALS: dict[str, tuple[httpx.Response, str]] = {
    "permission": (
        refusal(403, "Permission 'run.jobs.create' denied."),
        "Google Cloud refuses: Permission 'run.jobs.create' denied.",
    ),
    "unknown form": (
        httpx.Response(404, text="<html>"),
        "Google Cloud refuses: HTTP 404.",
    ),
    "quota": (
        refusal(429, "Used up.", details=[{"violations": [{"subject": "gpus"}]}]),
        "A quota of Google Cloud is used up (gpus): Used up.",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_refusal_is_told_in_the_cloud_s_words(case: str, pauses: list[float]) -> None:
    answer, sentence = REFUSALS[case]
    cloud = Scripted(*[answer] * 20)

    with pytest.raises(GoogleError) as error:
        await cloud.session().send("GET", "https://run.googleapis.com/x")

    assert error.value.refusal == sentence


async def test_rate_limit_is_waited_for(pauses: list[float]) -> None:
    cloud = Scripted(too_fast(), too_fast(), httpx.Response(200, json={"a": 1}))

    answer = await cloud.session().send("GET", "https://run.googleapis.com/x")

    assert answer == {"a": 1}
    assert len(pauses) == 2


async def test_pause_that_the_cloud_asks_for_is_kept(pauses: list[float]) -> None:
    busy = refusal(503, headers={"retry-after": "7"})
    cloud = Scripted(busy, httpx.Response(200, json={}))

    await cloud.session().send("GET", "https://run.googleapis.com/x")

    assert pauses == [7.0]


async def test_rate_that_does_not_recover_is_named_with_its_limit(pauses: list[float]) -> None:
    cloud = Scripted(*[too_fast()] * 100)

    with pytest.raises(GoogleError) as error:
        await cloud.session().send("GET", "https://run.googleapis.com/x")

    assert 40 < sum(pauses) <= google_session.THROTTLED_SECONDS
    assert error.value.quota == "run.googleapis.com/write_requests, limit 180"


@pytest.mark.parametrize("status", [503, 504])
async def test_what_may_have_been_done_is_not_sent_again(status: int) -> None:
    cloud = Scripted(refusal(status, "late"), httpx.Response(200, json={}))

    with pytest.raises(GoogleError) as error:
        await cloud.session().send("POST", "https://run.googleapis.com/x")

    assert error.value.is_passing
    assert len(cloud.requests) == 1


async def test_operation_that_fails_is_told_with_its_error(pauses: list[float]) -> None:
    failed = {"name": "o", "done": True, "error": {"code": 7, "message": "may not"}}
    cloud = Scripted(httpx.Response(200, json={"name": "o"}), httpx.Response(200, json=failed))

    with pytest.raises(GoogleError, match="may not") as error:
        await cloud.session().finished("https://run.googleapis.com/v2/o", {"name": "o"})

    assert error.value.status == 403


# What is imported.


def test_no_library_of_google_s_is_imported_until_a_type_of_its_runs() -> None:
    code = (
        "import sys, forebay_worker.cli, forebay_worker.loop, forebay_worker.setup\n"
        "from forebay_worker.base import find_type, installed_types\n"
        "installed_types(), find_type('process')\n"
        "early = [name for name in sys.modules if name.startswith('google')]\n"
        "assert not early, early\n"
        "find_type('cloud-run')\n"
        "heavy = ('google.cloud', 'google.api_core', 'googleapiclient', 'requests', 'grpc')\n"
        "late = [name for name in heavy if name in sys.modules]\n"
        "assert 'google.auth' in sys.modules and not late, late\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
