"""`parse_id`: import ids taken apart. Knows no resource's code."""

from forebay_provider.framework import dynamic
from forebay_provider.framework.functions import Function, Parameter, Refused
from forebay_provider.framework.kinds import DYNAMIC, STRING
from forebay_provider.framework.values import Dynamic
from forebay_provider.names import NAME, as_uuid

# The parts of a natural key, by type of resource; a name may hold a comma but no slash.
PARTS = {
    "work_pool": ("name",),
    "work_queue": ("work_pool_name", "name"),
    "global_concurrency_limit": ("name",),
    "flow": ("name",),
    "deployment": ("flow_name", "name"),
    "deployment_schedule": ("flow_name", "deployment_name", "slug"),
    "variable": ("name",),
    "block": ("type_slug", "name"),
}


def parse_id(kind: str, id: str) -> Dynamic | None:
    """The parts of an import id; those that it does not say are null."""
    kind = kind.removeprefix("forebay_")
    if kind not in PARTS:
        raise Refused(f"must be one of {', '.join(PARTS)}, not {kind!r}", 0)
    parts = PARTS[kind]
    values: dict[str, str | None] = dict.fromkeys(("id", *parts))
    if as_uuid(id) is not None:
        return dynamic.from_json({**values, "id": id.lower()})
    most = len(parts) - 1
    given = id.split("/", most) if "/" in id else id.split(",", most)
    if len(given) != len(parts) or any(NAME.complaint(part) for part in given):
        form = "/".join(part.removesuffix("_name").upper() for part in parts)
        raise Refused(f"must be {form} or an ID, not {id!r}", 1)
    return dynamic.from_json({**values, **dict(zip(parts, given, strict=True))})


FUNCTIONS = (
    Function(
        "parse_id",
        "The parts of an import ID",
        "Returns an object with the names in an import ID and its `id`, whichever of them it "
        'says; the others are null. `parse_id("work_queue", "etl/high")` has the '
        "`work_pool_name` etl and the `name` high.",
        (
            Parameter("kind", STRING, f"Type of the resource: {', '.join(PARTS)}."),
            Parameter("id", STRING, "The import ID."),
        ),
        DYNAMIC,
        parse_id,
    ),
)
