"""The worker type on a real engine: pulls, ends, names, clean-up."""

from collections.abc import Iterator
from typing import Any

import pytest

from forebay.errors import ConfigurationError
from forebay_worker.base import Outcome, StartFailed
from forebay_worker.worker_types.docker import DockerWorker
from forebay_worker.worker_types.docker_request import DockerConfiguration
from tests.worker.builders import Collector, a_run, an_assignment
from tests.worker.docker.engine import IMAGE, Engine, root_file_system
from tests.worker.docker.registry import PASSWORD, USER, Registry, registry


def a_configuration(command: str = "true", **values: Any) -> DockerConfiguration:
    """A command in the image at hand, with this machine's programs."""
    made = {"image": IMAGE, "image_pull_policy": "Never", "volumes": ["/usr:/usr:ro"]}
    return DockerConfiguration(**{"network_mode": "none", **made, "command": command, **values})


async def carried_out(
    worker_type: DockerWorker, configuration: DockerConfiguration, reporter: Collector
) -> Outcome:
    """Start a container and wait for its end."""
    infrastructure_id = await worker_type.start(configuration, an_assignment(reporter))
    return await worker_type.wait(infrastructure_id)


async def test_exit_code_becomes_the_outcome(worker_type: DockerWorker) -> None:
    outcome = await carried_out(worker_type, a_configuration("sh -c 'exit 7'"), Collector())

    assert outcome == Outcome(7, "the container ended with exit code 7")


async def test_every_line_of_a_short_container_is_reported(worker_type: DockerWorker) -> None:
    reporter = Collector()
    command = "sh -c 'seq 1 2000; printf grün; echo oops >&2'"

    await carried_out(worker_type, a_configuration(command), reporter)

    assert reporter.messages("stdout") == [*map(str, range(1, 2001)), "grün"]
    assert reporter.messages("stderr") == ["oops"]


async def test_container_that_is_removed_at_its_end_still_tells_how_it_ended(
    worker_type: DockerWorker, docker: Engine
) -> None:
    reporter = Collector()
    configuration = a_configuration("sh -c 'echo gone; exit 4'", auto_remove=True, name="brief")

    outcome = await carried_out(worker_type, configuration, reporter)

    assert outcome.exit_code == 4
    assert reporter.messages("stdout") == ["gone"]
    assert docker.docker("ps", "-aq", "--filter", "name=brief") == ""


@pytest.mark.scenario("docker", "quota-or-throttling")
async def test_container_beyond_its_memory_is_said_to_have_run_out_of_it(
    worker_type: DockerWorker,
) -> None:
    command = "perl -e '$x = \"a\" x 200_000_000; print length $x'"

    outcome = await carried_out(
        worker_type, a_configuration(command, mem_limit="16m", memswap_limit="16m"), Collector()
    )

    assert outcome == Outcome(137, "the container ran out of memory (exit code 137)")


async def test_container_that_ignores_sigterm_is_killed(worker_type: DockerWorker) -> None:
    reporter = Collector()
    ready = reporter.seen("ready")
    command = "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.1; done'"
    infrastructure_id = await worker_type.start(a_configuration(command), an_assignment(reporter))
    await ready.wait()

    await worker_type.kill(infrastructure_id, 0.5)

    outcome = await worker_type.wait(infrastructure_id)
    assert outcome == Outcome(137, "the container was ended by SIGKILL (exit code 137)")


async def test_second_container_of_a_name_gets_one_of_its_own(
    worker_type: DockerWorker, docker: Engine
) -> None:
    run = a_run()
    configuration = a_configuration(name="Nightly Load!")

    for _ in range(3):
        started = await worker_type.start(configuration, an_assignment(Collector(), run))
        await worker_type.wait(started)

    label = f"label=forebay.io/flow-run-id={run.id}"
    names = docker.docker("ps", "-a", "--filter", label, "--format", "{{.Names}}").split()
    suffix = run.id.hex[-8:]
    assert sorted(names) == [
        "nightly-load",
        f"nightly-load-{suffix}",
        f"nightly-load-{suffix}-2",
    ]


async def test_program_that_is_not_in_the_image_is_named_and_nothing_stays(
    worker_type: DockerWorker, docker: Engine
) -> None:
    with pytest.raises(StartFailed, match=r"The Docker engine refuses: .*no-such-program"):
        await worker_type.start(
            a_configuration("no-such-program", name="failing"), an_assignment(Collector())
        )

    assert docker.docker("ps", "-aq", "--filter", "name=failing") == ""


async def test_unknown_network_is_named(worker_type: DockerWorker) -> None:
    configuration = a_configuration(network_mode=None, networks=["none", "nowhere"])

    with pytest.raises(StartFailed, match="nowhere"):
        await worker_type.start(configuration, an_assignment(Collector()))


async def test_adopted_container_is_one_s_own_and_of_this_engine(
    worker_type: DockerWorker,
) -> None:
    assignment = an_assignment(Collector(), FOREBAY_CLAIM="run:3")
    configuration = a_configuration("sleep 60")
    started = await worker_type.start(configuration, assignment)
    successor = DockerWorker()

    claim = await successor.adopt(started, configuration, assignment)
    another_run = await successor.adopt(started, configuration, an_assignment(Collector()))
    elsewhere = await successor.adopt(f"other:{started}", configuration, assignment)
    gone = await successor.adopt(started[:-3] + "000", configuration, assignment)

    assert (claim, another_run, elsewhere, gone) == ("run:3", None, None, None)
    await successor.kill(started, 0)
    assert (await successor.wait(started)).exit_code == 137
    await successor.close()


async def test_clean_up_deletes_what_ended_long_ago_and_nothing_else(
    worker_type: DockerWorker, docker: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = await worker_type.start(a_configuration(name="old"), an_assignment(Collector()))
    await worker_type.wait(ended)
    await worker_type.start(a_configuration("sleep 60", name="busy"), an_assignment(Collector()))
    docker.docker("run", "--name", "foreign", "-v", "/usr:/usr:ro", IMAGE, "true")

    await worker_type.clean_up()
    kept = docker.docker("ps", "-a", "--format", "{{.Names}}").split()
    monkeypatch.setenv("FOREBAY_WORKER_KEEP_SECONDS", "0")
    await DockerWorker().clean_up()
    left = docker.docker("ps", "-a", "--format", "{{.Names}}").split()

    assert {"old", "busy", "foreign"} <= set(kept)
    assert "old" not in left
    assert {"busy", "foreign"} <= set(left)


@pytest.mark.parametrize("given", ["soon", "-1", "inf"])
def test_age_of_containers_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("FOREBAY_WORKER_KEEP_SECONDS", given)

    with pytest.raises(ConfigurationError, match="must be a number of seconds"):
        DockerWorker()


# Pulls, from a registry that wants to know who pulls.


@pytest.fixture
def pulled_from() -> Iterator[Registry]:
    with registry(root_file_system()) as running:
        yield running


def with_credentials(
    source: Registry, tag: str, password: str = PASSWORD, **values: Any
) -> DockerConfiguration:
    """A container of an image of the registry."""
    credentials = {"username": USER, "password": password, "registry_url": source.host}
    made = {"image": source.image(tag), "registry_credentials": credentials}
    return a_configuration(**{"image_pull_policy": None, **made, **values})


async def test_missing_image_is_pulled_once_with_its_credentials(
    worker_type: DockerWorker, pulled_from: Registry
) -> None:
    configuration = with_credentials(pulled_from, "1")

    first = await carried_out(worker_type, configuration, Collector())
    pulls = pulled_from.pulls
    second = await carried_out(worker_type, configuration, Collector())

    assert first.exit_code == second.exit_code == 0
    assert pulls > 0
    assert pulled_from.pulls == pulls


async def test_latest_image_is_asked_for_every_time(
    worker_type: DockerWorker, pulled_from: Registry
) -> None:
    configuration = with_credentials(pulled_from, "latest")

    await carried_out(worker_type, configuration, Collector())
    pulls = pulled_from.pulls
    await carried_out(worker_type, configuration, Collector())

    assert pulled_from.pulls > pulls


@pytest.mark.scenario("docker", "bad-credentials")
async def test_wrong_credentials_are_told(
    worker_type: DockerWorker, pulled_from: Registry
) -> None:
    configuration = with_credentials(pulled_from, "2", password="wrong")

    with pytest.raises(StartFailed, match=r"cannot be pulled: .*(unauthorized|no basic auth)"):
        await worker_type.start(configuration, an_assignment(Collector()))

    assert pulled_from.pulls == 0


async def test_image_that_the_registry_lacks_is_told(
    worker_type: DockerWorker, pulled_from: Registry
) -> None:
    configuration = with_credentials(pulled_from, "missing")

    with pytest.raises(StartFailed, match=r"flows:missing' cannot be pulled: .*manifest unknown"):
        await worker_type.start(configuration, an_assignment(Collector()))


async def test_if_possible_falls_back_on_the_image_at_hand_and_says_so(
    worker_type: DockerWorker, docker: Engine, pulled_from: Registry
) -> None:
    docker.docker("tag", IMAGE, pulled_from.image("missing-here"))
    reporter = Collector()
    configuration = with_credentials(pulled_from, "missing-here", image_pull_policy="IfPossible")

    outcome = await carried_out(worker_type, configuration, reporter)

    assert outcome.exit_code == 0
    assert "The one at hand is used." in reporter.messages("forebay.worker")[0]


async def test_never_pulls_nothing(worker_type: DockerWorker, pulled_from: Registry) -> None:
    configuration = with_credentials(pulled_from, "3", image_pull_policy="Never")

    with pytest.raises(StartFailed, match="is not on the engine's machine"):
        await worker_type.start(configuration, an_assignment(Collector()))

    assert pulled_from.asked == []
