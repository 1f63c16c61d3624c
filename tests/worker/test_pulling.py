"""Pull steps: clones from a real server of repositories, scripts, folders, and what they refer to."""

import base64
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from forebay.client import Client
from forebay.settings import ClientSettings
from forebay.wire.states import StateType
from forebay_worker.entrypoints import BadEntrypoint
from forebay_worker.pulling import pull
from tests.conftest import require_tool
from tests.worker.conftest import Site
from tests.worker.stored import Stored

STEPS = "prefect.deployments.steps."
TOKEN = "s3cret"


def git(folder: Path, *words: str) -> str:
    """What git says to these words in the folder."""
    own = ["-c", "user.name=a", "-c", "user.email=a@a.test", "-c", "protocol.file.allow=always"]
    done = subprocess.run(
        [require_tool("git"), *own, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@dataclass
class Forge:
    """Repositories at `url`, for whoever shows the token; `seen` are the credentials shown."""

    folder: Path
    url: str = ""
    seen: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    """A server with the repository `code`: two branches, and a submodule `lib`."""
    folder = tmp_path_factory.mktemp("forge")
    for name in ("lib", "code"):
        work = folder / name
        work.mkdir()
        git(work, "init", "-q", "-b", "main")
        (work / "flow.py").write_text(f"def main():\n    print('from {name}')\n")
        if name == "code":
            (work / "deep").mkdir()
            (work / "deep" / "file").touch()
            git(work, "submodule", "add", "-q", str(folder / "lib"), "lib")
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", name)
    git(work, "switch", "-q", "-c", "next/one")
    (work / "flow.py").write_text("def main():\n    print('from a branch')\n")
    git(work, "commit", "-q", "-a", "-m", "on")
    git(work, "switch", "-q", "main")
    made = Forge(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}/code/.git"
    yield made
    server.shutdown()
    server.server_close()


def _handler(forge: Forge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            """Let git's own CGI program answer whoever may ask."""
            shown = self.headers.get("authorization", "").removeprefix("Basic ")
            pair = base64.b64decode(shown).decode()
            forge.seen.append(pair)
            if not pair.endswith(f":{TOKEN}"):
                self.send_response(401)
                self.send_header("www-authenticate", "Basic")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            done = subprocess.run(
                ["git", "http-backend"],
                input=self.rfile.read(int(self.headers.get("content-length", 0))),
                capture_output=True,
                env={
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(forge.folder),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "REQUEST_METHOD": self.command,
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "CONTENT_TYPE": self.headers.get("content-type", ""),
                    "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                    "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
                },
                check=True,
            )
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            self.send_response(200)
            for line in head.decode().splitlines():
                name, _, value = line.partition(": ")
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            """Say nothing: the tests look at what was shown."""

    return Handler


@pytest.fixture
def client() -> Iterator[Client]:
    """A client whose server nobody needs."""
    with Client(ClientSettings(api_url="http://127.0.0.1:9/api", max_tries=1)) as made:
        yield made


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which steps begin."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    return folder


def cloned(forge: Forge, **inputs: Any) -> dict[str, Any]:
    """A step that clones `code`."""
    return {f"{STEPS}git_clone": {"repository": forge.url, "access_token": TOKEN, **inputs}}


def test_repository_is_cloned_and_entered_and_keeps_no_token(
    forge: Forge, client: Client, own_folder: Path
) -> None:
    forge.seen.clear()

    pull([cloned(forge, clone_directory_name="mine")], client)

    assert Path.cwd() == own_folder / "mine"
    assert "from code" in Path("flow.py").read_text()
    assert {*forge.seen} == {f"x-access-token:{TOKEN}"}
    assert TOKEN not in Path(".git/config").read_text()


def test_branch_commit_and_folders_are_chosen(
    forge: Forge, client: Client, own_folder: Path
) -> None:
    first = git(forge.folder / "code", "rev-parse", "main")

    pull([cloned(forge, branch="next/one", clone_directory_name="branch")], client)
    of_branch = Path("flow.py").read_text()
    os.chdir(own_folder)
    pull([cloned(forge, commit_sha=first, clone_directory_name="commit")], client)
    of_commit, head = Path("flow.py").read_text(), git(Path.cwd(), "rev-parse", "HEAD")
    os.chdir(own_folder)
    pull([cloned(forge, directories=["deep"], clone_directory_name="part")], client)

    assert "from a branch" in of_branch
    assert "from code" in of_commit
    assert head == first
    assert Path("deep/file").exists()


def test_submodules_come_along_when_they_are_wanted(
    forge: Forge, client: Client, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = own_folder / "gitconfig"
    config.write_text('[protocol "file"]\n\tallow = always\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))

    pull([cloned(forge, include_submodules=True, clone_directory_name="all")], client)

    assert "from lib" in Path("lib/flow.py").read_text()


def test_second_try_of_a_run_clones_anew(forge: Forge, client: Client, own_folder: Path) -> None:
    for _ in range(2):
        os.chdir(own_folder)
        pull([cloned(forge, clone_directory_name="twice")], client)
        Path("left").touch()
        shutil.copy("flow.py", "copy.py")

    os.chdir(own_folder)
    pull([cloned(forge, clone_directory_name="twice")], client)

    assert not Path("left").exists()


def test_later_steps_use_what_a_clone_gave_and_begin_where_it_began(
    forge: Forge, client: Client, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORD", "hello")

    pull(
        [
            cloned(forge, id="clone", clone_directory_name="c"),
            {
                f"{STEPS}run_shell_script": {
                    "id": "wrote",
                    "directory": "{{ clone.directory }}",
                    "script": "touch made\necho {{ $WORD }}",
                }
            },
            {f"{STEPS}run_shell_script": {"script": "mkdir '{{ wrote.stdout }} all'"}},
        ],
        client,
    )

    assert Path.cwd() == own_folder / "c"
    assert Path("made").exists()
    assert (own_folder / "hello all").is_dir()


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"prefect_aws.deployments.steps.pull_from_s3": {}}, "not known here; known: git_clone"),
        ({f"{STEPS}git_clone": {}}, "git_clone needs a `repository`"),
        ({f"{STEPS}git_clone": {"repository": "/no/such"}}, "git_clone failed: git clone ended"),
        (
            {f"{STEPS}git_clone": {"repository": "git@a.test:b/c", "access_token": "t"}},
            "A token is for repositories at https",
        ),
        (
            {f"{STEPS}git_clone": {"repository": "a", "clone_directory_name": "../up"}},
            "cannot be the name of a clone's folder",
        ),
        ({f"{STEPS}run_shell_script": {"script": "false"}}, "ended with code 1"),
        ({f"{STEPS}set_working_directory": {"directory": "/no/such"}}, "cannot be entered"),
        (
            {f"{STEPS}git_clone": {"repository": "{{ nothing.gives }}"}},
            "value for 'nothing.gives'",
        ),
        ({}, "not known here"),
    ],
)
def test_step_that_cannot_be_carried_out_says_why(
    client: Client, step: dict[str, Any], told: str
) -> None:
    with pytest.raises(BadEntrypoint, match=told):
        pull([step], client)


def test_refusal_of_a_repository_shows_no_credentials(forge: Forge, client: Client) -> None:
    address = forge.url.replace("http://", "http://user:hidden@")

    with pytest.raises(BadEntrypoint) as told:
        pull([{f"{STEPS}git_clone": {"repository": address}}], client)

    assert "hidden" not in str(told.value)


def test_run_clones_its_code_with_a_token_from_a_block(site: Site, forge: Forge) -> None:
    stored = Stored(site, password=TOKEN)
    reference = f"{{{{ prefect.blocks.{stored.slug}.mine.password }}}}"
    deployment = site.deploy("main", pull_steps=[cloned(forge, access_token=reference)], path=None)
    run_id = site.run(deployment)

    site.serve_once()

    run = site.read(run_id)
    assert run.state_type is StateType.COMPLETED, run.state
    assert site.messages(run_id, "stdout") == ["from code"]
