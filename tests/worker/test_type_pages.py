"""The pages of worker types, and the examples that they show."""

import re
from pathlib import Path

import pytest

from forebay.pool_types import default_template
from forebay_worker.type_pages import pages

ROOT = Path(__file__).parents[2]
TYPES = [
    "azure-container-instance",
    "cloud-run",
    "cloud-run-v2",
    "docker",
    "ecs",
    "kubernetes",
    "process",
    "vertex-ai",
]


def test_every_type_has_a_page_with_its_variables_and_what_it_was_tested_against() -> None:
    found = {path.stem: text for path, text in pages(ROOT)}

    assert sorted(found.keys() - {"README"}) == TYPES
    for name in TYPES:
        for variable in default_template(name)["variables"]["properties"]:
            assert f"| `{variable}` |" in found[name]
        assert "Tested against: " in found[name]


@pytest.mark.parametrize("name", TYPES)
def test_example_gives_what_the_template_requires_and_nothing_that_it_lacks(name: str) -> None:
    text = (ROOT / "examples" / "worker_types" / name / "main.tf").read_text()
    block = text.partition("  job_template_defaults = {\n")[2].partition("\n  }\n")[0]
    variables = default_template(name)["variables"]

    given = set(re.findall(r"^    (\w+)\s+=", block, re.MULTILINE))

    assert given
    assert given <= variables["properties"].keys()
    # Without a default in the pool every deployment would have to give it.
    assert set(variables.get("required", [])) <= given
