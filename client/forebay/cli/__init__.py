"""`forebay`: the command line. Commands of the other packages are found by entry point."""


def main() -> None:
    """Entry point of the `forebay` command."""
    from forebay.cli.failures import run
    from forebay.cli.root import build

    run(build())
