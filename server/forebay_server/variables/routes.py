"""HTTP of variables: parse, call, return."""

from uuid import UUID

from forebay.wire.base import Lenient
from forebay.wire.variables import Variable, VariableCreate, VariableUpdate
from forebay_server.db.criteria import Condition
from forebay_server.db.engine import Transaction
from forebay_server.idempotency.keys import CREATES
from forebay_server.protocol import PathName, Read, Write, api_router, page_limit, page_offset
from forebay_server.variables import queries
from forebay_server.variables.filters import VariableFilter, VariableSort
from forebay_server.versions import STALE, Guard, Guards, Tells

router = api_router("Variables", "/variables")


class VariableCriteria(Lenient):
    """Which variables."""

    variables: VariableFilter | None = None


class VariableQuery(VariableCriteria):
    """Which variables, in which order."""

    sort: VariableSort | None = None
    limit: int | None = None
    offset: int | None = None


@router.post("/", status_code=201, dependencies=[CREATES])
async def create_variable(body: VariableCreate, db: Write, tell: Tells) -> Variable:
    """Create a variable."""
    return tell(Variable.model_validate(await queries.create(db, body)))


@router.post("/filter")
async def filter_variables(db: Read, body: VariableQuery | None = None) -> list[Variable]:
    """Variables that fulfil the criteria, at most 200 a page."""
    query = body or VariableQuery()
    rows = await queries.filter(
        db,
        (query.variables or VariableFilter()).condition(),
        query.sort or VariableSort.NAME_ASC,
        page_limit(query.limit),
        page_offset(query.offset),
    )
    return [Variable.model_validate(row) for row in rows]


@router.post("/count")
async def count_variables(db: Read, body: VariableCriteria | None = None) -> int:
    """How many variables fulfil the criteria."""
    criteria = body.variables if body else None
    return await queries.count(db, (criteria or VariableFilter()).condition())


@router.get("/{id:uuid}")
async def read_variable(id: UUID, db: Read, tell: Tells) -> Variable:
    """Read a variable by id."""
    return tell(await _shown(db, queries.has_id(id)))


@router.get("/name/{name}")
async def read_variable_by_name(name: PathName, db: Read, tell: Tells) -> Variable:
    """Read a variable by name."""
    return tell(await _shown(db, queries.has_name(name)))


@router.patch("/{id:uuid}", status_code=204, responses=STALE)
async def update_variable(id: UUID, body: VariableUpdate, db: Write, version: Guards) -> None:
    """Change the fields that are present."""
    await _change(db, queries.has_id(id), body, version)


@router.patch("/name/{name}", status_code=204, responses=STALE)
async def update_variable_by_name(
    name: PathName, body: VariableUpdate, db: Write, version: Guards
) -> None:
    """Change the fields that are present."""
    await _change(db, queries.has_name(name), body, version)


@router.delete("/{id:uuid}", status_code=204, responses=STALE)
async def delete_variable(id: UUID, db: Write, version: Guards) -> None:
    """Delete a variable."""
    await _delete(db, queries.has_id(id), version)


@router.delete("/name/{name}", status_code=204, responses=STALE)
async def delete_variable_by_name(name: PathName, db: Write, version: Guards) -> None:
    """Delete a variable by name."""
    await _delete(db, queries.has_name(name), version)


async def _shown(db: Transaction, condition: Condition) -> Variable:
    return Variable.model_validate(await queries.read(db, condition))


async def _change(
    db: Transaction, condition: Condition, body: VariableUpdate, version: Guard
) -> None:
    await version.check(queries.lock, _shown, db, condition)
    id = await queries.update(db, condition, body.model_dump(exclude_unset=True))
    version(await _shown(db, queries.has_id(id)))


async def _delete(db: Transaction, condition: Condition, version: Guard) -> None:
    await version.check(queries.lock, _shown, db, condition)
    await queries.delete(db, condition)
