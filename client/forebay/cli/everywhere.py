"""The options that may stand behind every word of a command line. Knows no command.

Source: Prefect 3.8.4, where each group and each command takes them.
"""

import os
import sys
from collections.abc import Sequence

import typer

PROFILE = "--profile"
PROMPT_VARIABLES = ("FOREBAY_CLI_PROMPT", "PREFECT_CLI_PROMPT")
PROMPTS = {"--prompt": "true", "--no-prompt": "false"}
NO = ("0", "f", "false", "n", "no", "off")


def take_out(args: Sequence[str]) -> list[str]:
    """Heed these options wherever they stand, up to `--`; the rest of `args`."""
    rest: list[str] = []
    words = iter(args)
    for word in words:
        option, separator, value = word.partition("=")
        if word == "--":
            rest += [word, *words]
        elif option == PROFILE:
            name = value if separator else next(words, None)
            if not name:
                raise typer.BadParameter(f"{PROFILE} needs a value.")
            choose_profile(name)
        elif word in PROMPTS:
            os.environ[PROMPT_VARIABLES[0]] = PROMPTS[word]
        else:
            rest.append(word)
    return rest


def choose_profile(name: str) -> None:
    """Use a profile here, in the groups of other packages and in the processes they start."""
    os.environ["FOREBAY_PROFILE"] = name


def choose_prompts(are_wanted: bool | None) -> None:
    """Say whether questions may be asked on a terminal; None leaves it as it is."""
    if are_wanted is not None:
        os.environ[PROMPT_VARIABLES[0]] = str(are_wanted).lower()


def may_ask() -> bool:
    """Whether somebody sits at a terminal and wants to be asked."""
    said = next((os.environ[name] for name in PROMPT_VARIABLES if os.environ.get(name)), "")
    return said.lower() not in NO and sys.stdin.isatty()
