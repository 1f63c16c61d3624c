"""A sample provider on the PyPI package `tf`: one type, kept in the state alone.

Run by a Python that has the package; `python -m bench.provider_start --tf PYTHON` measures it beside
ours.
"""

from typing import Any

from tf.iface import Config, State  # type: ignore[import-not-found]
from tf.runner import run_provider  # type: ignore[import-not-found]
from tf.schema import Attribute, Schema  # type: ignore[import-not-found]
from tf.types import String  # type: ignore[import-not-found]


class Pool:
    """What `bare_pool` is in the bare provider."""

    def __init__(self, provider: object) -> None:
        pass

    @classmethod
    def get_name(cls) -> str:
        return "pool"

    @classmethod
    def get_schema(cls) -> Any:
        return Schema(
            attributes=[
                Attribute("id", String(), computed=True),
                Attribute("name", String(), required=True),
            ]
        )

    def validate(self, diags: Any, type_name: str, config: Config) -> None:
        """Everything is allowed."""

    def create(self, ctx: Any, planned: State) -> State:
        return {**planned, "id": "1"}

    def read(self, ctx: Any, current: State) -> State:
        return current

    def update(self, ctx: Any, current: State, planned: State) -> State:
        return planned

    def delete(self, ctx: Any, current: State) -> None:
        """Nothing exists."""


class Sample:
    """The provider."""

    def get_model_prefix(self) -> str:
        return "tf_"

    def get_provider_schema(self, diags: Any) -> Any:
        return Schema()

    def full_name(self) -> str:
        return "example.com/bench/tf"

    def validate_config(self, diags: Any, config: Config) -> None:
        """Everything is allowed."""

    def configure_provider(self, diags: Any, config: Config) -> None:
        """There is nothing to configure."""

    def get_data_sources(self) -> list[Any]:
        return []

    def get_resources(self) -> list[Any]:
        return [Pool]

    def get_functions(self) -> list[Any]:
        return []

    def new_resource(self, klass: Any) -> Any:
        return klass(self)


run_provider(Sample())
