"""What a declaration says on its registry page."""

from forebay_provider.framework.checks import at_least
from forebay_provider.framework.declarations import JsonText, attribute, model
from forebay_provider.framework.pages import code, page


@model
class Rule:
    weight: int = attribute("How heavy.", default=1, checks=(at_least(1),))


@model
class Thing:
    """A thing to document."""

    id: str = attribute("Identity.", computed=True)
    name: str = attribute("Name.", replace=True)
    token: str | None = attribute("Token.", default=None, sensitive=True, write_only=True)
    text: JsonText | None = attribute("Text.", default=None)
    tags: dict[str, list[str]] | None = attribute("Tags.", default=None)
    rules: list[Rule] | None = attribute("Rules.", default=None)
    old: str | None = attribute("Old.", default=None, deprecated="Use name.")


PAGE = page("Title", "Heading", Thing, sections=[("Example Usage", code("terraform", "x\n"))])


def test_page_begins_with_front_matter_and_example() -> None:
    assert PAGE.startswith(
        '---\npage_title: "Title"\nsubcategory: ""\ndescription: |-\n  A thing to document.\n---\n'
    )
    assert "## Example Usage\n\n```terraform\nx\n```\n" in PAGE


def test_every_attribute_is_in_its_group_with_all_that_was_declared() -> None:
    required, _, rest = PAGE.partition("### Required")[2].partition("### Optional")
    optional, _, rest = rest.partition("### Read-Only")

    assert "- `name` (String) Name. A change makes a new object." in required
    assert "- `token` (String, Sensitive, Write-only) Token." in optional
    assert "- `text` (String, JSON) Text." in optional
    assert "- `tags` (Map of List of String) Tags." in optional
    assert "- `old` (String, Deprecated) Old. Use name." in optional
    assert "- `id` (String) Identity." in rest


def test_nested_attribute_has_a_section_of_its_own() -> None:
    assert (
        "`rules` (Attributes List) Rules. (see [below for nested schema](#nestedatt--rules))"
        in PAGE
    )
    assert '<a id="nestedatt--rules"></a>\n### Nested Schema for `rules`' in PAGE
    assert "- `weight` (Number) How heavy. At least 1. Defaults to `1`." in PAGE
