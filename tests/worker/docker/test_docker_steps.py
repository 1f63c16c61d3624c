"""Steps that build and push images, on a real engine and a registry."""

import json
import subprocess
from pathlib import Path

import pytest

from forebay import build_steps, docker_steps
from forebay.calls import deployments
from forebay.docker_steps import DockerStepFailed, carry_out
from tests.conftest import BIN
from tests.worker.docker.conftest import DockerSite
from tests.worker.docker.engine import IMAGE, Engine, root_file_system
from tests.worker.docker.registry import PASSWORD, USER, registry

FILE = """
build:
  - prefect_docker.deployments.steps.build_docker_image:
      id: build-image
      requires: prefect-docker
      image_name: {host}/flows
      tag: built
      additional_tags: [latest]
      buildargs: {{WHO: me}}
      labels: {{kind: test}}
push:
  - prefect_docker.deployments.steps.push_docker_image:
      image_name: "{{{{ build-image.image_name }}}}"
      tag: "{{{{ build-image.tag }}}}"
      additional_tags: "{{{{ build-image.additional_tags }}}}"
      credentials: {{username: {user}, password: "{{{{ $REGISTRY_PASSWORD }}}}"}}
deployments:
  - name: built
    flow_name: {pool}
    entrypoint: flow.py:greet
    work_pool:
      name: {pool}
      job_variables: {{image: "{{{{ build-image.image }}}}"}}
"""
DOCKERFILE = f"FROM {IMAGE}\nARG WHO\nLABEL who=$WHO\nCOPY flow.py /flow.py\n"


def test_deploying_builds_and_pushes_the_image_that_runs_use(docker_site: DockerSite) -> None:
    folder = docker_site.folder
    (folder / "Dockerfile").write_text(DOCKERFILE)
    environment = {
        **docker_site.server.environment,
        "DOCKER_HOST": docker_site.docker.url,
        "REGISTRY_PASSWORD": PASSWORD,
    }

    with registry(root_file_system()) as pushed_to:
        text = FILE.format(host=pushed_to.host, user=USER, pool=docker_site.name)
        (folder / "forebay.yaml").write_text(text)
        done = subprocess.run(
            [BIN / "forebay", "deploy"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    image = f"{pushed_to.host}/flows:built"
    labels = docker_site.docker.docker("inspect", "--format", "{{json .Config.Labels}}", image)
    made = docker_site.client.send(deployments.read_by_name(docker_site.name, "built"))
    assert made.job_variables == {"image": image}
    assert json.loads(labels) == {"who": "me", "kind": "test"}
    assert pushed_to.pushed.keys() == {"built", "latest"}
    assert PASSWORD not in done.stdout + done.stderr


def test_refused_push_and_build_tell_the_reason(
    docker: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker.url)
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY missing /missing\n")

    with pytest.raises(DockerStepFailed, match="missing"):
        carry_out(docker_steps.BUILD, {"image_name": "flows"}, tmp_path)
    with pytest.raises(DockerStepFailed, match=r"docker push failed: .*nothing"):
        carry_out(docker_steps.PUSH, {"image_name": "nothing"}, tmp_path)


def test_inputs_that_no_step_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DockerStepFailed, match="no input 'squash'"):
        carry_out(docker_steps.BUILD, {"image_name": "flows", "squash": True}, tmp_path)
    with pytest.raises(DockerStepFailed, match="needs an `image_name`"):
        carry_out(docker_steps.PUSH, {}, tmp_path)
    with pytest.raises(DockerStepFailed, match="username and password"):
        inputs = {"image_name": "flows", "credentials": {"username": "u"}}
        carry_out(docker_steps.PUSH, inputs, tmp_path)


def test_automatic_dockerfile_brings_code_and_what_it_requires(tmp_path: Path) -> None:
    plain = docker_steps.automatic_dockerfile(tmp_path)
    (tmp_path / "requirements.txt").write_text("httpx\n")

    text = docker_steps.automatic_dockerfile(tmp_path)

    place = f"/opt/forebay/{tmp_path.name}/"
    assert "requirements.txt" not in plain
    assert text.splitlines()[-4:] == [
        f"COPY requirements.txt {place}requirements.txt",
        f"RUN pip install -r {place}requirements.txt",
        f"COPY . {place}",
        f"WORKDIR {place}",
    ]


def test_image_steps_are_known_by_their_whole_path_only() -> None:
    path = docker_steps.PREFIX + docker_steps.BUILD
    build_steps.check([{path: {"image_name": "flows"}}])

    with pytest.raises(Exception, match="not known here"):
        build_steps.check([{docker_steps.BUILD: {}}])
