"""The functions of Terraform's language, called as Terraform calls them: unconfigured."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from forebay import pool_types, templates
from forebay_provider.framework import codec, dynamic
from forebay_provider.framework.kinds import BOOL, DYNAMIC, STRING
from forebay_provider.functions import FUNCTIONS
from forebay_provider.pb import tfplugin6_pb2 as pb

TEMPLATE = {
    "job_configuration": {"command": "{{ command }}", "image": "{{ image }}", "n": "{{ n }}"},
    "variables": {
        "properties": {
            "command": {"type": "string"},
            "image": {"type": "string", "default": "python"},
            "n": {"type": "integer"},
        }
    },
}

Run = Callable[..., pb.CallFunction.Response]


@pytest.fixture
def run(call: Any) -> Run:
    """Calls a function; text stays text, other values are objects whose type goes with them."""
    declared = {f.name: f for f in FUNCTIONS}

    def run(name: str, *values: Any) -> Any:
        parameters = declared[name].parameters
        arguments = [
            codec.encode(p.kind, value if p.kind is STRING else dynamic.from_json(value))
            for p, value in zip(parameters, values, strict=True)
        ]
        return call("CallFunction", name=name, arguments=arguments)

    return run


def text(answer: pb.CallFunction.Response) -> Any:
    assert not answer.HasField("error"), answer.error.text
    return json.loads(codec.decode(STRING, answer.result))


def value(answer: pb.CallFunction.Response) -> Any:
    assert not answer.HasField("error"), answer.error.text
    return dynamic.to_json(codec.decode(DYNAMIC, answer.result))


def test_schema_and_functions_describe_the_same(call: Any) -> None:
    by_schema, alone = call("GetProviderSchema"), call("GetFunctions")

    assert by_schema.functions == alone.functions
    assert set(alone.functions) == {
        "validate_job_template", "merge_job_template", "render_job_template",
        "job_template_variables", "parse_id",
    }  # fmt: skip


@pytest.mark.parametrize("as_text", [False, True])
def test_template_that_a_server_takes_is_valid(run: Run, as_text: bool) -> None:
    answer = run("validate_job_template", json.dumps(TEMPLATE) if as_text else TEMPLATE)

    assert codec.decode(BOOL, answer.result) is True


@pytest.mark.parametrize("type", list(pool_types.pool_types()))
def test_template_of_every_type_is_valid(run: Run, type: str) -> None:
    answer = run("validate_job_template", pool_types.default_template(type))

    assert codec.decode(BOOL, answer.result) is True


def test_undeclared_placeholder_is_named_at_the_template(run: Run) -> None:
    answer = run("validate_job_template", {**TEMPLATE, "job_configuration": {"a": "{{ imgae }}"}})

    assert answer.error.function_argument == 0
    assert "{{ imgae }}" in answer.error.text


@pytest.mark.parametrize("wrong", ["{", "[1]", [1], 3, True, "[" * 100_000])
def test_what_is_no_template_is_refused(run: Run, wrong: Any) -> None:
    answer = run("validate_job_template", wrong)

    assert "must be" in answer.error.text


def test_merge_sets_and_takes_away_defaults(run: Run) -> None:
    merged = text(run("merge_job_template", TEMPLATE, {"command": "ls", "image": None}))

    assert templates.defaults(merged) == {"command": "ls"}
    assert merged["job_configuration"] == TEMPLATE["job_configuration"]


def test_merge_refuses_what_the_template_does_not_declare(run: Run) -> None:
    answer = run("merge_job_template", TEMPLATE, {"cpu": 1})

    assert answer.error.function_argument == 1
    assert "cpu" in answer.error.text and "command, image, n" in answer.error.text


def test_render_fills_in_and_leaves_out_as_a_worker_does(run: Run) -> None:
    rendered = text(run("render_job_template", TEMPLATE, {"command": "ls", "env": {"A": "1"}}))

    assert rendered == {"command": "ls", "image": "python"}
    assert rendered == templates.job_configuration(TEMPLATE, {"command": "ls"})


def test_numbers_keep_their_kind(run: Run) -> None:
    rendered = text(run("render_job_template", TEMPLATE, {"n": 3}))

    assert rendered["n"] == 3 and isinstance(rendered["n"], int)


def test_variables_are_those_that_the_template_declares(run: Run) -> None:
    found = value(run("job_template_variables", json.dumps(TEMPLATE)))

    assert found == TEMPLATE["variables"]["properties"]


ID = "0192f3f0-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("kind", "id", "expected"),
    [
        ("work_pool", "etl", {"id": None, "name": "etl"}),
        ("forebay_work_pool", "etl", {"id": None, "name": "etl"}),
        ("work_pool", ID, {"id": ID, "name": None}),
        ("work_queue", "etl/high, low", {"id": None, "work_pool_name": "etl", "name": "high, low"}),
        ("work_queue", "etl,high", {"id": None, "work_pool_name": "etl", "name": "high"}),
        ("deployment", "flow/d", {"id": None, "flow_name": "flow", "name": "d"}),
        ("deployment_schedule", "f/d/s",
         {"id": None, "flow_name": "f", "deployment_name": "d", "slug": "s"}),
        ("block", "secret/token", {"id": None, "type_slug": "secret", "name": "token"}),
    ],
)  # fmt: skip
def test_id_is_taken_apart(run: Run, kind: str, id: str, expected: dict[str, Any]) -> None:
    assert value(run("parse_id", kind, id)) == expected


@pytest.mark.parametrize(
    ("kind", "id", "argument", "words"),
    [
        ("tank", "a", 0, "work_pool, work_queue"),
        ("work_queue", "etl", 1, "WORK_POOL/NAME or an ID"),
        ("work_queue", "a/b/c", 1, "'a/b/c'"),
        ("work_pool", "", 1, "NAME or an ID"),
    ],
)
def test_id_that_is_none_is_refused(
    run: Run, kind: str, id: str, argument: int, words: str
) -> None:
    answer = run("parse_id", kind, id)

    assert answer.error.function_argument == argument
    assert words in answer.error.text


def test_unknown_function_and_wrong_arguments_are_refused(call: Any) -> None:
    unknown = call("CallFunction", name="nothing")
    too_few = call("CallFunction", name="parse_id")
    null = call("CallFunction", name="parse_id", arguments=[pb.DynamicValue(msgpack=b"\xc0")] * 2)

    assert "nothing" in unknown.error.text
    assert "takes 2 arguments" in too_few.error.text
    assert "must not be null" in null.error.text
