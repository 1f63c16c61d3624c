"""The block types that the server has from the start: a secret, and the credentials of pools."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select

from forebay.pool_types import pool_types
from forebay.wire.blocks import BlockSchemaCreate, BlockTypeCreate
from forebay_server.blocks import queries
from forebay_server.blocks.tables import block_types
from forebay_server.db.engine import Transaction
from forebay_server.errors import Conflict

NAMES = {
    "aws-credentials": "AWS Credentials",
    "azure-container-instance-credentials": "Azure Container Instance Credentials",
    "docker-registry": "Docker Registry",
    "docker-registry-credentials": "Docker Registry Credentials",
    "gcp-credentials": "GCP Credentials",
    "kubernetes-cluster-config": "Kubernetes Cluster Config",
    "modal-credentials": "Modal Credentials",
    "secret": "Secret",
}
SECRET_FIELDS: dict[str, Any] = {
    "title": "Secret",
    "type": "object",
    "block_type_slug": "secret",
    "block_schema_references": {},
    "properties": {
        "value": {
            "title": "Value",
            "description": "Any JSON value that must not be shown.",
            "format": "password",
            "writeOnly": True,
        }
    },
    "required": ["value"],
    "secret_fields": ["value"],
}


def fields_by_slug() -> dict[str, dict[str, Any]]:
    """The fields of each type; those of credentials are what pools' templates refer to."""
    found = {"secret": SECRET_FIELDS}
    for pool_type in pool_types().values():
        for fields in _definitions(pool_type.default_template):
            found.setdefault(fields["block_type_slug"], fields)
    return found


def _definitions(template: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for definition in template.get("variables", {}).get("definitions", {}).values():
        if "block_type_slug" in definition:
            yield definition


async def register(db: Transaction) -> None:
    """Make the types that are missing, each with its schema; one that is there stays as it is."""
    known = {row.slug for row in await db.rows(select(block_types.c.slug))}
    if known >= NAMES.keys():
        return
    for slug, fields in fields_by_slug().items():
        if slug in known:
            continue
        body = BlockTypeCreate(name=NAMES[slug], slug=slug)
        try:
            type_id = (await queries.create_type(db, body)).id
        except Conflict:
            continue  # another process made it just now
        await queries.create_schema(db, BlockSchemaCreate(fields=fields, block_type_id=type_id))
