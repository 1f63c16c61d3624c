"""A block and a variable on a running server, for job configurations to refer to."""

from uuid import uuid4

from forebay.calls import blocks, variables
from forebay.wire.blocks import BlockDocumentCreate, BlockSchemaCreate, BlockTypeCreate
from forebay.wire.variables import VariableCreate
from tests.worker.conftest import Site


class Stored:
    """A block and a variable of names of their own."""

    def __init__(self, site: Site, password: str = "{{ $HOME }}") -> None:
        self.slug = f"registry-{uuid4().hex[:8]}"
        self.name = f"region_{uuid4().hex[:8]}"
        send = site.client.send
        type = send(blocks.create_type(BlockTypeCreate(name=self.slug, slug=self.slug)))
        fields = {
            "type": "object",
            "properties": {"password": {"type": "string"}, "hosts": {"type": "object"}},
            "secret_fields": ["password"],
        }
        schema = send(
            blocks.create_schema(BlockSchemaCreate(block_type_id=type.id, fields=fields))
        )
        self.data = {"password": password, "hosts": {"main": "a.test", "all": ["a.test"]}}
        self.id = send(
            blocks.create(
                BlockDocumentCreate(
                    name="mine",
                    data=self.data,
                    block_type_id=type.id,
                    block_schema_id=schema.id,
                )
            )
        ).id
        send(variables.create(VariableCreate(name=self.name, value={"zone": 3})))
