"""Lets every argument be given as an option too: `inspect NAME` is also `inspect --name NAME`.

Source: Prefect 3.8.4, whose scripts should go on working. Knows no command.
"""

import re
from typing import Any

import typer
from typer.core import TyperCommand


class SpelledOut(TyperCommand):
    """A command whose arguments may be named: by their parameter, or by a word of their metavar."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what is left after the arguments that are given by name."""
        by_option = self._arguments_by_option()
        named: dict[str, list[str]] = {}
        rest: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                rest += [word, *words]
                break
            option, separator, value = word.partition("=")
            if option not in by_option:
                rest.append(word)
                continue
            given = value if separator else next(words, None)
            if given is None:
                raise typer.BadParameter(f"{option} needs a value.", ctx)
            named.setdefault(by_option[option], []).append(given)
        return self._parse_rest(ctx, rest, named)

    def _parse_rest(self, ctx: Any, rest: list[str], named: dict[str, list[str]]) -> list[str]:
        all_params = self.params
        self.params = [param for param in all_params if param.name not in named]
        try:
            left = super().parse_args(ctx, rest)
        finally:
            self.params = all_params
        for param in all_params:
            if values := named.get(str(param.name)):
                if param.nargs == 1 and len(values) > 1:
                    told = f"{values[0]!r} and {values[1]!r} exclude each other."
                    raise typer.BadParameter(told, ctx)
                value = values[0] if param.nargs == 1 else values
                param.handle_parse_result(ctx, {param.name: value}, [])
        return left

    def _arguments_by_option(self) -> dict[str, str]:
        taken = {
            option for param in self.params for option in (*param.opts, *param.secondary_opts)
        }
        found: dict[str, str] = {}
        for param in self.params:
            if param.param_type_name != "argument" or param.name is None:
                continue
            metavar = getattr(param, "metavar", None) or ""
            words = [param.name.replace("_", "-"), *metavar.rstrip("…").lower().split("|")]
            for word in words:
                if re.fullmatch("[a-z][a-z-]*", word) and f"--{word}" not in taken:
                    found[f"--{word}"] = param.name
        return found


def spell_out(app: typer.Typer) -> None:
    """Make every command of `app`, and of the groups in it, accept its arguments by name."""
    for command in app.registered_commands:
        command.cls = SpelledOut if command.cls in (None, TyperCommand) else command.cls
    for group in app.registered_groups:
        if group.typer_instance is not None:
            spell_out(group.typer_instance)
