"""Puts the commands together: own ones, and those that installed packages announce.

Listing them imports none of them: the module of a group is imported when one of its commands
is called, so that `forebay work-pool ls` never pays for the server.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from forebay import __version__
from forebay.cli.everywhere import choose_profile, choose_prompts, take_out
from forebay.cli.failures import MissingPackage
from forebay.cli.spelling import spell_out

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

# Plain help: in rich's boxes the names of long options are cut at 80 columns.
MARKUP = None
ENTRY_POINTS = "forebay.commands"

LIMITS = "forebay.cli.global_concurrency_limit"
OWN_GROUPS = {
    "work-pool": ("forebay.cli.work_pool", "Make, change and look at work pools."),
    "work-queue": ("forebay.cli.work_queue", "Make, change and look at the queues of a pool."),
    "deployment": ("forebay.cli.deployment", "Register code and run it."),
    "flow-run": ("forebay.cli.flow_run", "Look at runs, follow and cancel them."),
    "flow": ("forebay.cli.flow", "Look at flows."),
    "global-concurrency-limit": (LIMITS, "Limit what runs at once across pools; short: gcl."),
    "block": ("forebay.cli.block", "Make, change and look at blocks."),
    "variable": ("forebay.cli.variable", "Make, change and look at variables."),
    "token": ("forebay.cli.token", "Make, list and revoke API tokens."),
    "config": ("forebay.cli.config", "Look at settings and change them."),
    "profile": ("forebay.cli.profile", "Named sets of settings."),
}
OWN_COMMANDS = {
    "deploy": ("forebay.cli.deploy", "Make the deployments that forebay.yaml declares."),
}
SHORT_NAMES = {"gcl": "global-concurrency-limit"}
# An entry point carries no text, and reading it from the package would import the package.
ANNOUNCED_HELP = {
    "server": "Run the control plane.",
    "worker": "Take runs from a pool and execute them.",
    "provider": "Install the Terraform provider.",
    "doctor": "Check the control plane's database.",
}


class LazyGroup(TyperGroup):
    """Stands in the list for a group of commands that is imported when it is called."""

    def __init__(self, name: str, help: str, load: Callable[[], typer.Typer]) -> None:
        super().__init__(name=name, help=help)
        self._load = load

    def make_context(
        self, info_name: Any, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """The context of the real group, which click then goes on with."""
        app = self._load()
        app.rich_markup_mode = MARKUP
        spell_out(app)
        group = get_group(app)
        group.name, group.help = self.name, self.help
        return group.make_context(info_name, take_out(args), parent, **extra)


class LazyCommand(TyperCommand):
    """The same for a command that stands alone."""

    def __init__(self, name: str, help: str, load: Callable[[], typer.Typer]) -> None:
        super().__init__(name=name, help=help)
        self._load = load

    def make_context(
        self, info_name: Any, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """The context of the real command."""
        app = self._load()
        app.rich_markup_mode = MARKUP
        spell_out(app)
        command = get_command(app)
        command.name = self.name
        return command.make_context(info_name, take_out(args), parent, **extra)


class AnnouncedGroup(LazyGroup):
    """A group of another package, which may lack the libraries of its extra."""

    def __init__(self, entry_point: "EntryPoint") -> None:
        distribution = entry_point.dist.name if entry_point.dist else entry_point.module
        help = ANNOUNCED_HELP.get(entry_point.name, f"Commands of {distribution}.")
        super().__init__(entry_point.name, help, entry_point.load)
        self._entry_point = entry_point

    def explain(self, error: ModuleNotFoundError) -> MissingPackage:
        """What to install so that the commands of this group work."""
        needed = "forebay"
        if distribution := self._entry_point.dist:
            extras = distribution.metadata.get_all("Provides-Extra") or []
            needed = distribution.name
            if self._entry_point.name in extras:
                needed += f"[{self._entry_point.name}]"
        return MissingPackage(
            f"`forebay {self.name}` needs the package {error.name}, which is not installed. "
            f'Install it with: pip install "{needed}"'
        )


class Root(TyperGroup):
    """The outermost group; it looks for announced groups only when it needs them."""

    _has_announced = False

    def list_commands(self, ctx: Any) -> list[str]:
        """All groups, own ones first."""
        self._add_announced()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The group `cmd_name`, not yet imported."""
        cmd_name = SHORT_NAMES.get(cmd_name, cmd_name)
        if cmd_name not in self.commands:
            self._add_announced()
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises `MissingPackage` where a group lacks its extra."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            group = self.commands.get(ctx.invoked_subcommand)
            is_own = (error.name or "forebay").startswith("forebay")  # a fault, not a lack
            if isinstance(group, AnnouncedGroup) and not is_own:
                raise group.explain(error) from error
            raise

    def _add_announced(self) -> None:
        if self._has_announced:
            return
        self._has_announced = True
        from importlib.metadata import entry_points  # own groups do without it

        for entry_point in sorted(entry_points(group=ENTRY_POINTS), key=lambda e: e.name):
            if entry_point.name not in self.commands:
                self.add_command(AnnouncedGroup(entry_point))


def build() -> Root:
    """The whole command line."""
    app = typer.Typer(
        cls=Root,
        help="Work pools, runs and workers from the command line.",
        epilog="Clients find the server by FOREBAY_API_URL, or by the profile that the first "
        "`forebay server start` writes.",
        no_args_is_help=True,
        rich_markup_mode=MARKUP,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    root = get_command(app)
    assert isinstance(root, Root)
    for name, (module, help) in OWN_GROUPS.items():
        root.add_command(LazyGroup(name, help, _loader(module)))
    for name, (module, help) in OWN_COMMANDS.items():
        root.add_command(LazyCommand(name, help, _loader(module)))
    return root


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"forebay {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Name of the profile whose address and credentials are used; may stand behind "
            "any command too."
        ),
    ] = None,
    prompt: Annotated[
        bool | None,
        typer.Option(
            "--prompt/--no-prompt",
            help="Whether a terminal is asked; may stand behind any command too.",
        ),
    ] = None,
) -> None:
    choose_prompts(prompt)
    if profile:
        choose_profile(profile)


def _loader(module: str) -> Callable[[], typer.Typer]:
    def load() -> typer.Typer:
        app = import_module(module).app
        assert isinstance(app, typer.Typer)
        return app

    return load
