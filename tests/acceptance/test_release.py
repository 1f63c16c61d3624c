"""The released archives, taken by `terraform init` from a mirror on a web server and from disk."""

import functools
import json
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from forebay import __version__
from forebay_provider import certificate, release
from tests.acceptance.conftest import Terraform
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

POOL = 'resource "forebay_work_pool" "p" {\n  name = "etl"\n  type = "process"\n}\n'


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def https(tmp_path: Path) -> Iterator[tuple[str, Path, Path]]:
    """Address, folder and certificate of a static web server."""
    folder = tmp_path / "www"
    folder.mkdir()
    made = certificate.make(time.time())
    authority = tmp_path / "authority.pem"
    authority.write_bytes(made.chain)
    identity = tmp_path / "identity.pem"
    identity.write_bytes(made.key + made.chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"https://localhost:{server.server_port}/", folder, authority
    server.shutdown()
    server.server_close()


@pytest.fixture
def terraform(terraform_binary: str, server: RunningServer, tmp_path: Path) -> Terraform:
    """Terraform in an empty directory, told nothing yet about where providers are."""
    folder = tmp_path / "infrastructure"
    folder.mkdir()
    environment = {
        **server.environment,
        "FOREBAY_PYTHON": sys.executable,
        "TF_CLI_CONFIG_FILE": str(tmp_path / "terraform.rc"),
        "CHECKPOINT_DISABLE": "1",
    }
    return Terraform(terraform_binary, folder, environment)


def test_network_mirror_is_a_folder_on_any_web_server(
    terraform: Terraform, https: tuple[str, Path, Path]
) -> None:
    url, folder, authority = https
    release.mirror(folder)
    Path(terraform.environment["TF_CLI_CONFIG_FILE"]).write_text(
        f"provider_installation {{\n  network_mirror {{ url = {json.dumps(url)} }}\n}}\n"
    )
    terraform.environment["SSL_CERT_FILE"] = str(authority)

    terraform.init()
    made = terraform.apply(POOL)
    locked = (terraform.folder / ".terraform.lock.hcl").read_text()

    assert set(made) == {"forebay_work_pool.p"}
    assert f'version = "{__version__}"' in " ".join(locked.split())
    assert "h1:" in locked


def test_archives_of_a_release_are_a_filesystem_mirror(
    terraform: Terraform, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    release.release(mirror / release.ADDRESSES[0])
    Path(terraform.environment["TF_CLI_CONFIG_FILE"]).write_text(
        "provider_installation {\n"
        f"  filesystem_mirror {{ path = {json.dumps(str(mirror))} }}\n"
        "}\n"
    )

    terraform.init()

    assert set(terraform.apply(POOL)) == {"forebay_work_pool.p"}
