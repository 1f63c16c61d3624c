"""botocore's own description of AWS's services, for checking what a stand-in takes and gives."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator


class NotInTheModel(AssertionError):
    """A request or an answer that the service's description does not allow."""


@cache
def service(name: str) -> ServiceModel:
    """The description of a service."""
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def check_request(name: str, operation: str, body: Mapping[str, Any]) -> None:
    """Raises `NotInTheModel` for unknown, missing and wrong fields."""
    _check(service(name).operation_model(operation).input_shape, f"{operation} request", body)


def check_answer(name: str, operation: str, body: Mapping[str, Any]) -> None:
    """Raises `NotInTheModel` for unknown, missing and wrong fields."""
    _check(service(name).operation_model(operation).output_shape, f"{operation} answer", body)


def _check(shape: Any, what: str, body: Mapping[str, Any]) -> None:
    report = ParamValidator().validate(body, shape)
    if report.has_errors():
        raise NotInTheModel(f"{what}: {report.generate_report()}")
