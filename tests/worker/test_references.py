"""References of job configurations, with what a real server answers about them."""

from typing import Any

import pytest

from forebay.client import AsyncClient
from forebay_worker.configuration import InvalidConfiguration
from forebay_worker.references import resolved
from tests.worker.conftest import Site
from tests.worker.stored import Stored


@pytest.fixture
def stored(site: Site) -> Stored:
    return Stored(site)


async def resolve(site: Site, values: Any) -> Any:
    """The values, in a worker whose environment has one variable."""
    async with AsyncClient(site.client.settings) as client:
        return await resolved(values, client.send, {"CLUSTER": "blue"})


async def test_every_kind_of_reference_becomes_its_value(site: Site, stored: Stored) -> None:
    block = f"prefect.blocks.{stored.slug}.mine"
    values = {
        "by_id": {"$ref": {"block_document_id": str(stored.id)}},
        "whole": f"{{{{ {block} }}}}",
        "field": f"{{{{ {block}.hosts.all }}}}",
        "text": f"at {{{{ {block}.hosts.main }}}}:{{{{ prefect.variables.{stored.name} }}}}",
        "list": [f"{{{{ prefect.variables.{stored.name} }}}}", "{{ $CLUSTER }}"],
        "plain": ["{{ image }}", 1, None],
    }

    found = await resolve(site, values)

    assert found == {
        "by_id": stored.data,
        "whole": stored.data,
        "field": ["a.test"],
        "text": 'at a.test:{"zone": 3}',
        "list": [{"zone": 3}, "blue"],
        "plain": ["{{ image }}", 1, None],
    }


async def test_absent_variable_drops_its_key_and_is_empty_in_text(site: Site) -> None:
    values = {
        "gone": "{{ prefect.variables.no_such }}",
        "list": ["{{ $NO_SUCH }}"],
        "text": "<{{ $NO_SUCH }}>",
    }

    assert await resolve(site, values) == {"list": [], "text": "<>"}


async def test_block_that_does_not_exist_is_named(site: Site) -> None:
    with pytest.raises(InvalidConfiguration, match=r"\{\{ prefect.blocks.no-such.mine \}\}"):
        await resolve(site, {"a": "{{ prefect.blocks.no-such.mine }}"})
    with pytest.raises(InvalidConfiguration, match="the block 0000"):
        await resolve(site, {"$ref": {"block_document_id": "0" * 32}})
    with pytest.raises(InvalidConfiguration, match="'x', which is not an id"):
        await resolve(site, {"$ref": {"block_document_id": "x"}})


async def test_field_that_a_block_lacks_is_named(site: Site, stored: Stored) -> None:
    with pytest.raises(InvalidConfiguration, match="the block has no 'nowhere'"):
        await resolve(site, f"{{{{ prefect.blocks.{stored.slug}.mine.hosts.nowhere }}}}")
