"""A stand-in of Azure, a worker type on it, and pools whose runs it executes."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from forebay import templates
from forebay.pool_types import default_template
from forebay.wire.work_pools import WorkPoolCreate
from forebay_worker.worker_types.azure_container_instance import AzureContainerInstanceWorker
from tests.conftest import BIN, RunningServer, missing
from tests.worker.azure.fake import RESOURCE_GROUP, SUBSCRIPTION, FakeAzure, running_azure
from tests.worker.azure.groups import RUNS
from tests.worker.azure.models import PYTHON, Models, running_models
from tests.worker.conftest import Site, WorkerProcess

TYPE = "azure-container-instance"


@pytest.fixture(scope="session")
def azure_models() -> Iterator[Models]:
    """Azure's models of container groups."""
    if not PYTHON.exists():
        missing("the clouds' models are not here: make peers")
    with running_models() as models:
        yield models


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Key and certificate of 127.0.0.1, which signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("authority")
    paths = folder / "key.pem", folder / "certificate.pem"
    paths[0].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    paths[1].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return paths


@pytest.fixture
def azure(azure_models: Models, certificate: tuple[Path, Path]) -> Iterator[FakeAzure]:
    """A subscription without groups; what it was asked must have fitted Azure's models."""
    with running_azure(azure_models, certificate) as running:
        yield running


@pytest.fixture
async def worker_type(
    azure: FakeAzure, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AzureContainerInstanceWorker]:
    """The worker type, with a managed identity."""
    for name, value in azure.environment.items():
        monkeypatch.setenv(name, value)
    made = AzureContainerInstanceWorker()
    yield made
    await made.close()


def client_credentials(
    azure: FakeAzure, certificate: tuple[Path, Path], secret: str
) -> dict[str, Any]:
    """Data of a credentials block for the stand-in."""
    return {
        "client_id": "client",
        "tenant_id": "tenant",
        "client_secret": secret,
        "credential_kwargs": {
            "authority": azure.authority,
            "disable_instance_discovery": True,
            "connection_verify": str(certificate[1]),
        },
    }


class AzureSite(Site):
    """A pool on a running server; its containers run this checkout's Python."""

    def __init__(
        self, server: RunningServer, azure: FakeAzure, folder: Path, **defaults: Any
    ) -> None:
        name = f"aci-{uuid4().hex[:12]}"
        entrypoint = folder / "entrypoint.sh"
        entrypoint.write_text('#!/bin/sh\nexec "$@"\n')
        entrypoint.chmod(0o755)
        values = {
            "image": RUNS,
            "env": {"PATH": f"{BIN}:/usr/bin:/bin"},
            "entrypoint": str(entrypoint),
            "resource_group_name": RESOURCE_GROUP,
            "subscription_id": SUBSCRIPTION,
            "task_watch_poll_interval": 0.2,
            **defaults,
        }
        template = templates.with_defaults(default_template(TYPE), values)
        pool = WorkPoolCreate(name=name, type=TYPE, base_job_template=template)
        super().__init__(server, name, folder, pool)
        self.azure = azure

    def worker(self, *options: str, environment: dict[str, str] | None = None) -> WorkerProcess:
        """Start a worker of this pool with a managed identity."""
        return super().worker(
            *options, environment={**self.azure.environment, **(environment or {})}
        )


@pytest.fixture
def azure_site(
    shared_server: RunningServer, azure: FakeAzure, tmp_path: Path
) -> Iterator[AzureSite]:
    """A pool without runs on the server that all tests share."""
    made = AzureSite(shared_server, azure, tmp_path)
    yield made
    made.close()
