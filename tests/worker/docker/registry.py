"""A registry of one image, which a real engine pulls and pushes; it knows one user."""

import base64
import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USER, PASSWORD = "puller", "let-me-in"
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


class Registry:
    """What is served, and what was asked for."""

    def __init__(self, root_file_system: bytes) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.pushed: dict[str, bytes] = {}  # manifests by their tag
        layer = gzip.compress(root_file_system, mtime=0)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [_digest(root_file_system)]},
            }
        ).encode()
        self.blobs = {_digest(blob): blob for blob in (layer, config)}
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": {
                    "mediaType": "application/vnd.docker.container.image.v1+json",
                    "size": len(config),
                    "digest": _digest(config),
                },
                "layers": [
                    {
                        "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                        "size": len(layer),
                        "digest": _digest(layer),
                    }
                ],
            }
        ).encode()

    @property
    def host(self) -> str:
        """How images of this registry begin. Engines speak plain HTTP to this address."""
        return f"127.0.0.1:{self.port}"

    def image(self, tag: str) -> str:
        """The image under a tag."""
        return f"{self.host}/flows:{tag}"

    @property
    def pulls(self) -> int:
        """How often a manifest was read with the right credentials."""
        return sum("/manifests/" in path for path in self.asked)


@contextmanager
def registry(root_file_system: bytes) -> Iterator[Registry]:
    """A registry on a free port."""
    made = Registry(root_file_system)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    made.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _handler(made: Registry) -> type[BaseHTTPRequestHandler]:
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.headers.get("authorization") != expected:
                self._answer(401, b"{}", {"WWW-Authenticate": 'Basic realm="test"'})
                return
            made.asked.append(f"{self.command} {self.path}")
            kind, _, name = self.path.removeprefix("/v2/flows/").partition("/")
            if self.path == "/v2/":
                self._answer(200, b"{}", {})
            elif kind == "manifests" and not name.startswith("missing"):
                digest = _digest(made.manifest)
                headers = {"Content-Type": MANIFEST_TYPE, "Docker-Content-Digest": digest}
                self._answer(200, made.manifest, headers)
            elif kind == "blobs" and name in made.blobs:
                self._answer(200, made.blobs[name], {})
            else:
                error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
                self._answer(404, json.dumps(error).encode(), {})

        do_HEAD = do_GET

        def do_POST(self) -> None:
            """Begin the upload of a blob."""
            if self.headers.get("authorization") != expected:
                self._answer(401, b"{}", {"WWW-Authenticate": 'Basic realm="test"'})
                return
            self._upload_goes_on(0)

        def do_PATCH(self) -> None:
            """Take a blob's content, whole."""
            content = self._content()
            made.blobs[_digest(content)] = content
            self._upload_goes_on(len(content))

        def do_PUT(self) -> None:
            """End an upload, or take a manifest."""
            content = self._content()
            if "/manifests/" in self.path:
                made.pushed[self.path.rpartition("/")[2]] = content
            self._answer(201, b"", {"Docker-Content-Digest": _digest(content)})

        def _upload_goes_on(self, received: int) -> None:
            headers = {
                "Location": f"http://{made.host}/v2/flows/blobs/uploads/1",
                "Docker-Upload-UUID": "1",
                "Range": f"0-{max(0, received - 1)}",
            }
            self._answer(202, b"", headers)

        def _content(self) -> bytes:
            if self.headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content

        def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing: the tests look at what was asked for."""

    return Handler
