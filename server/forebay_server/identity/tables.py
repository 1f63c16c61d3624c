"""The table of the server's own id, which has one row."""

from forebay_server.db.columns import Row, table


class ServerRow(Row, table=True):
    """The server whose database this is: all its processes are one server."""

    __tablename__ = "server"


servers = table(ServerRow)
