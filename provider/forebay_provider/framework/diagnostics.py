"""What the user is told, and where in the configuration. Knows no resource."""

from collections.abc import Iterable
from dataclasses import dataclass

from forebay_provider.pb import tfplugin6_pb2 as pb


class Key(str):
    """A step into a map; a plain string is a step to an attribute."""

    __slots__ = ()


Path = tuple[str | int, ...]  # attribute names, list indexes and map keys, from the root


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """An error (or a warning) with its place; an empty path means the whole block."""

    summary: str
    detail: str = ""
    path: Path = ()
    is_warning: bool = False


class Failure(Exception):
    """Ends an operation with diagnostics for the user."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(f"{d.summary}: {d.detail}" for d in diagnostics))
        self.diagnostics = diagnostics


def to_path(path: Path) -> pb.AttributePath:
    """The protocol's form of a path."""
    steps = []
    for step in path:
        if isinstance(step, Key):
            steps.append(pb.AttributePath.Step(element_key_string=step))
        elif isinstance(step, str):
            steps.append(pb.AttributePath.Step(attribute_name=step))
        else:
            steps.append(pb.AttributePath.Step(element_key_int=step))
    return pb.AttributePath(steps=steps)


def to_messages(diagnostics: Iterable[Diagnostic]) -> list[pb.Diagnostic]:
    """The protocol's form of diagnostics, each text with what UTF-8 cannot carry replaced."""
    return [
        pb.Diagnostic(
            severity=pb.Diagnostic.WARNING if d.is_warning else pb.Diagnostic.ERROR,
            summary=_printable(d.summary),
            detail=_printable(d.detail),
            attribute=to_path(d.path) if d.path else None,
        )
        for d in diagnostics
    ]


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
