"""HTTP of the server's own id and version: parse, call, return."""

from forebay import __version__
from forebay.wire.server import ServerInfo
from forebay_server.identity import queries
from forebay_server.protocol import Read, api_router

router = api_router("Health")


@router.get("/server")
async def read_server(db: Read) -> ServerInfo:
    """Tell which server this is: the id that its database was given, and Forebay's version."""
    return ServerInfo(id=await queries.read(db), version=__version__)
