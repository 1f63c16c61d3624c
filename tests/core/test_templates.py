"""Base job templates: placeholders, layers of variables, rendering."""

import pytest

from forebay import templates
from forebay.templates import ABSENT

TEMPLATE = {
    "job_configuration": {
        "command": "{{ command }}",
        "env": "{{ env }}",
        "labels": {"team": "{{ team }}-{{ stage }}"},
        "limits": ["{{ memory }}", "fixed"],
    },
    "variables": {
        "properties": {
            "command": {"type": "string"},
            "env": {"type": "object", "default": {"A": "default", "B": "default"}},
            "team": {"type": "string", "default": "core"},
            "stage": {"type": "string"},
            "memory": {"type": "integer", "default": 512},
        }
    },
}


def test_undeclared_placeholders_are_named_wherever_they_stand() -> None:
    template = {
        "job_configuration": {"a": ["{{ x }}", {"{{ y }}": "text {{ z }}"}], "b": "{{ known }}"},
        "variables": {"properties": {"known": {}}},
    }

    assert templates.undeclared(template) == ["x", "y", "z"]


@pytest.mark.parametrize("value", [None, 3, True, [1], {"k": "v"}, "text", 1.5])
def test_a_lone_placeholder_keeps_the_type_of_its_value(value: object) -> None:
    assert templates.render("{{ x }}", {"x": value}) == value


def test_a_lone_placeholder_without_a_value_is_absent_and_drops_its_key() -> None:
    assert templates.render("{{ x }}", {}) is ABSENT
    assert templates.render({"a": "{{ x }}", "b": 1}, {}) == {"b": 1}
    assert templates.render(["{{ x }}", 1], {}) == [1]


def test_placeholders_within_text_become_text_and_absent_ones_nothing() -> None:
    rendered = templates.render("{{ n }}/{{ missing }}/{{ list }}", {"n": 3, "list": [1, "a"]})

    assert rendered == '3//[1, "a"]'


def test_a_value_with_braces_stays_text() -> None:
    variables = {"x": "{{ secret }}", "secret": "leaked"}

    assert templates.render("{{ x }}", variables) == "{{ secret }}"
    assert templates.render("a {{ x }}", variables) == "a {{ secret }}"


def test_dotted_names_walk_into_objects() -> None:
    assert templates.render("{{ a.b }}", {"a": {"b": 7}}) == 7
    assert templates.render("{{ a.b.c }}", {"a": {"b": 7}}) is ABSENT


def test_a_run_beats_its_deployment_and_the_deployment_beats_the_default() -> None:
    deployment = {"team": "deployment", "stage": "deployment"}

    configuration = templates.job_configuration(TEMPLATE, deployment, {"stage": "run"})

    assert configuration["labels"] == {"team": "deployment-run"}
    assert configuration["limits"] == [512, "fixed"]
    assert "command" not in configuration


def test_env_is_merged_key_by_key_and_null_removes_a_key() -> None:
    deployment = {"env": {"B": "deployment", "C": "deployment"}}

    configuration = templates.job_configuration(TEMPLATE, deployment, {"env": {"A": None}})

    assert configuration["env"] == {"B": "deployment", "C": "deployment"}


def test_literal_env_of_the_template_is_weaker_than_variables() -> None:
    template = {
        "job_configuration": {"env": {"A": "literal", "B": "literal"}},
        "variables": {"properties": {"env": {"type": "object"}}},
    }

    configuration = templates.job_configuration(template, {"env": {"A": "run", "C": "run"}})

    assert configuration["env"] == {"A": "run", "B": "literal", "C": "run"}


def test_a_dotted_job_variable_sets_one_key() -> None:
    configuration = templates.job_configuration(TEMPLATE, {"env.A": "dotted"})

    assert configuration["env"] == {"A": "dotted", "B": "default"}


def test_expanding_dotted_names_leaves_the_callers_objects_alone() -> None:
    layer = {"env": {"A": "1"}, "env.B": "2"}

    assert templates.expand_dotted(layer) == {"env": {"A": "1", "B": "2"}}
    assert layer == {"env": {"A": "1"}, "env.B": "2"}
