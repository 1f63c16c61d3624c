"""The data source `forebay_server`: what the server says of itself."""

from forebay.errors import NoSuchEndpoint
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
    id: str | None = attribute(
        "ID (UUID) of a Forebay server, for the provider's `expected_server_id`; null for any "
        "other server.",
        computed=True,
    )
    forebay_version: str | None = attribute(
        "Version of a Forebay server; null for any other server.", computed=True
    )


class ServerDataSource(DataSource[ServerView, Connection]):
    """There is always one."""

    name, model = "server", ServerView

    def read(self, config: ServerView) -> ServerView:
        config.version = self.client.send(calls.server.version())
        config.api_version = self.client.send(calls.server.api_version())
        try:
            found = self.client.send(calls.server.identity())
            config.id, config.forebay_version = str(found.id), found.version
        except NoSuchEndpoint:
            config.id = config.forebay_version = None
        return config
