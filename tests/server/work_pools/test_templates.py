"""Which base job templates a pool may have."""

import time
from typing import Any

import httpx2 as httpx
import pytest

from forebay.pool_types import pool_types
from forebay_server.errors import Invalid, NotFound
from forebay_server.work_pools.rules import check_template
from tests.server.work_pools.builders import a_pool, a_template


@pytest.mark.parametrize("type", sorted(pool_types()))
def test_default_template_of_every_type_is_accepted(type: str) -> None:
    check_template(pool_types()[type].default_template)


ACCEPTED: dict[str, dict[str, Any]] = {
    "empty": {},
    "no variable used": a_template({}, title="x"),
    "null default of an optional variable": a_template({"x": {"type": "string", "default": None}}),
    "null inside a default": a_template(
        {
            "x": {
                "type": "object",
                "properties": {"y": {"type": "string"}},
                "default": {"y": None},
            }
        }
    ),
    "default by local reference": a_template(
        {"x": {"allOf": [{"$ref": "#/definitions/D"}], "default": {"a": 1}}},
        definitions={"D": {"type": "object", "properties": {"a": {"type": "integer"}}}},
    ),
    "default that matches its pattern": a_template(
        {"x": {"type": "string", "pattern": r"^\d+(?:G|Gi)$", "default": "2Gi"}}
    ),
    "property called pattern": a_template({"x": {"properties": {"pattern": {"type": "string"}}}}),
    "default that looks like a keyword": a_template(
        {"x": {"type": "object", "default": {"pattern": "(", "$ref": "http://x"}}}
    ),
    "true as a schema": a_template({"x": True}),
    "other placeholders declared by their full name": {
        "job_configuration": {"a": "{{ prefect.blocks.secret.s }}"},
        "variables": {"properties": {"prefect.blocks.secret.s": {}}},
    },
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no variables": ({"job_configuration": {"a": 1}}, "variables"),
    "no configuration": ({"variables": {"properties": {}}}, "job_configuration"),
    "both empty": ({"job_configuration": {}, "variables": {}}, "neither empty"),
    "something else": ({"foo": 1}, "job_configuration"),
    "variables as a list": ({"job_configuration": {"a": 1}, "variables": [1]}, "objects"),
    "undeclared placeholder": (
        {
            "job_configuration": {"a": {"b": ["x {{ missing }} {{known}}"]}},
            "variables": {"properties": {"known": {}}},
        },
        "missing",
    ),
    "undeclared environment": (
        {"job_configuration": {"a": "{{ $HOME }}"}, "variables": {"type": "object"}},
        "$HOME",
    ),
    "unknown type": (a_template({"x": {"type": "integer"}}, type="nonsense"), "type"),
    "unknown type of a variable": (a_template({"x": {"type": "nonsense"}}), "properties.x.type"),
    "properties as a list": (
        {"job_configuration": {"a": 1}, "variables": {"properties": ["x"]}},
        "properties",
    ),
    "default of another type": (a_template({"x": {"type": "integer", "default": "str"}}), "x"),
    "null default of a required variable": (
        a_template({"x": {"type": "string", "default": None}}, required=["x"]),
        "default of x",
    ),
    "default that misses its pattern": (
        a_template({"x": {"type": "string", "pattern": r"^\d+$", "default": "a"}}),
        "pattern",
    ),
    "pattern that needs backtracking": (
        a_template({"x": {"type": "string", "pattern": r"(?=a)b"}}),
        "not supported",
    ),
    "reference to elsewhere": (
        a_template({"x": {"$ref": "http://127.0.0.1:1/schema.json"}}),
        "may only refer to the schema itself",
    ),
    "reference to a file": (a_template({"x": {"$ref": "file:///etc/passwd"}}), "only refer"),
    "reference to nothing": (
        a_template({"x": {"$ref": "#/definitions/none", "default": 1}}),
        "does not have",
    ),
    "reference in a circle": (
        a_template(
            {"x": {"$ref": "#/definitions/a", "default": 1}},
            definitions={
                "a": {"$ref": "#/definitions/b"},
                "b": {"$ref": "#/definitions/a"},
            },
        ),
        "takes too long",
    ),
    "too many variables": (a_template({f"v{i}": {} for i in range(201)}), "200 variables"),
    "too many values": (a_template({"x": {"enum": list(range(2100))}}), "2000"),
    "too large": (a_template({"x": {"title": "x" * 300_000}}), "262144 bytes"),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_template_is_accepted(case: str) -> None:
    check_template(ACCEPTED[case])


@pytest.mark.parametrize("case", REFUSED)
def test_template_is_refused_with_its_reason(case: str) -> None:
    template, reason = REFUSED[case]

    with pytest.raises(Invalid) as refusal:
        check_template(template)

    assert reason in str(refusal.value)
    assert refusal.value.extra["exception_detail"][0]["loc"] == ["body", "base_job_template"]


def test_template_nested_too_deep_is_refused() -> None:
    nested: Any = 1
    for _ in range(40):
        nested = {"a": nested}

    with pytest.raises(Invalid, match="nested"):
        check_template(a_template({"x": {"const": nested}}))


def test_block_reference_as_default_is_not_found() -> None:
    default = {"$ref": {"block_document_id": "00000000-0000-0000-0000-000000000001"}}

    with pytest.raises(NotFound, match="Block not found"):
        check_template(a_template({"x": {"default": default}}))


def test_refusal_does_not_repeat_a_secret_default() -> None:
    template = a_template({"x": {"type": "integer", "default": "hunter2"}})

    with pytest.raises(Invalid) as refusal:
        check_template(template)

    assert "hunter2" not in str(refusal.value)


SLOW: dict[str, dict[str, Any]] = {
    "pattern": {"x": {"pattern": "^(a+)+$", "default": "a" * 200 + "b"}},
    "patternProperties": {
        "x": {"patternProperties": {"^(a+)+$": {}}, "default": {"a" * 60 + "b": 1}}
    },
    "additionalProperties": {
        "x": {
            "patternProperties": {"^(a+)+$": {}},
            "additionalProperties": False,
            "default": {"a" * 60 + "b": 1},
        }
    },
    "unevaluatedProperties": {
        "x": {
            "patternProperties": {"^(a+)+$": {}},
            "unevaluatedProperties": False,
            "default": {"a" * 60 + "b": 1},
        }
    },
    "uniqueItems": {
        "x": {"uniqueItems": True, "default": [i if i % 2 else str(i) for i in range(1900)]}
    },
    "another dialect": {
        "x": {
            "allOf": [
                {
                    "$schema": "http://json-schema.org/draft-07/schema#",
                    "pattern": "^(a+)+$",
                }
            ],
            "default": "a" * 200 + "b",
        }
    },
}


@pytest.mark.parametrize("case", SLOW)
def test_patterns_cannot_make_the_check_slow(case: str) -> None:
    started = time.process_time()

    try:
        check_template(a_template(SLOW[case]))
    except Invalid:
        pass

    assert time.process_time() - started < 2


def test_references_that_multiply_cannot_make_the_check_slow() -> None:
    definitions: dict[str, Any] = {
        f"d{i}": {"allOf": [{"$ref": f"#/definitions/d{i + 1}"}] * 2} for i in range(40)
    }
    definitions["d40"] = {"type": "integer"}
    started = time.process_time()

    with pytest.raises(Invalid, match="takes too long"):
        check_template(
            a_template({"x": {"$ref": "#/definitions/d0", "default": 1}}, definitions=definitions)
        )

    assert time.process_time() - started < 2


async def test_update_checks_a_template_as_creation_does(api: httpx.AsyncClient) -> None:
    good = a_template({"x": {"type": "integer", "default": 1}})
    bad = a_template({"x": {"type": "integer", "default": "str"}})
    await a_pool(api, "p", base_job_template=good)

    refused = await api.patch("/work_pools/p", json={"base_job_template": bad})
    created = await api.post("/work_pools/", json={"name": "q", "base_job_template": bad})

    assert (refused.status_code, created.status_code) == (422, 422)
    assert (await api.get("/work_pools/p")).json()["base_job_template"] == good
    assert (await api.get("/work_pools/q")).status_code == 404


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "\\u0000"}',
        '{"a": "\\ud800"}',
        '{"a": 1e400}',
        '{"a": NaN}',
        '{"a": 123456789012345678901234567890}',
        '{"a": ' * 500 + "1" + "}" * 500,
        '{"a": ' * 100_000 + "1" + "}" * 100_000,
        "[]",
        "1",
    ],
)
async def test_template_that_cannot_be_stored_is_the_callers_fault(
    api: httpx.AsyncClient, text: str
) -> None:
    body = f'{{"name": "p", "base_job_template": {text}}}'

    answer = await api.post(
        "/work_pools/", content=body, headers={"content-type": "application/json"}
    )

    assert answer.status_code in (400, 422)
