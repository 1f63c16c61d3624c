"""Health, readiness and versions. `public` needs no credentials."""

from fastapi import Request
from fastapi.responses import JSONResponse

from forebay_server.protocol import api_router

# What clients compare against: they refuse another major version (prefect-api 1).
PREFECT_VERSION = "3.8.4"
API_VERSION = "0.8.4"

public = api_router("Health", is_public=True)
router = api_router("Health")


@public.get("/health")
async def read_health() -> bool:
    """True while the process answers."""
    return True


@public.get("/ready")
async def read_ready(request: Request) -> JSONResponse:
    """200 when the database answers; 503 when it does not, or when the server is ending."""
    if request.app.state.stopping.is_set():
        return JSONResponse({"message": "The server is ending"}, 503)
    if not await request.app.state.readiness.check():
        return JSONResponse({"message": "Database is not available"}, 503)
    return JSONResponse({"message": "OK"})


@router.get("/hello")
async def read_hello() -> str:
    """A greeting, for clients that try the connection."""
    return "👋"


@public.get("/version")
async def read_api_version() -> str:
    """The version of the API's shapes."""
    return API_VERSION


@public.get("/admin/version")
async def read_server_version() -> str:
    """The Prefect version that this API behaves as."""
    return PREFECT_VERSION
