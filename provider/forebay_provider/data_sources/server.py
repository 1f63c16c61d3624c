"""The data source `forebay_server`: what the server says of itself."""

from forebay_provider.api import calls
from forebay_provider.connection import Connection
from forebay_provider.framework.declarations import attribute, model
from forebay_provider.framework.resource import DataSource


@model
class ServerView:
    """Tells the versions of the server, for `check` blocks and postconditions."""

    version: str = attribute(
        "Version of the server; a Forebay server tells the Prefect version that it behaves as.",
        computed=True,
    )
    api_version: str = attribute("Version of the API's shapes.", computed=True)


class ServerDataSource(DataSource[ServerView, Connection]):
    """There is always one."""

    name, model = "server", ServerView

    def read(self, config: ServerView) -> ServerView:
        config.version = self.client.send(calls.server.version())
        config.api_version = self.client.send(calls.server.api_version())
        return config
