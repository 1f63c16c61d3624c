"""`terraform-provider-forebay`: the program that Terraform starts. Knows no protocol."""

import gc
import os
import sys


def main() -> None:
    """Serve Terraform, or say to a human what this is. Does not return."""
    stdout = guard_stdout()
    # Collecting while modules are imported finds nothing and costs a tenth of the start.
    gc.set_threshold(100_000, 50, 50)
    arguments = sys.argv[1:]

    from forebay import __version__
    from forebay_provider import handshake

    if "--version" in arguments:
        leave(stdout, f"terraform-provider-forebay {__version__}\n")
    if "--help" in arguments or "-h" in arguments:
        leave(stdout, handshake.FOR_HUMANS)
    is_debugged = "--debug" in arguments
    if not is_debugged and not handshake.is_from_terraform(os.environ):
        sys.stderr.write(handshake.FOR_HUMANS)
        sys.exit(1)

    from forebay_provider import logs

    logs.start(os.environ)
    try:
        from forebay_provider import serve

        if is_debugged:
            serve.serve_for_debugging(stdout)
        else:
            serve.serve(handshake.read_request(os.environ), stdout)
    except Exception as error:  # noqa: BLE001 - Terraform shows the user nothing else than this
        # What follows "panic: " on stderr Terraform shows when the plugin dies.
        sys.stderr.write(f"panic: the forebay provider could not serve: {error!r}\n")
        sys.stderr.flush()
        os._exit(1)
    # At once: Terraform waits for the end of every start, and nothing is left to be done.
    os._exit(0)


def guard_stdout() -> int:
    """A private copy of stdout, which from now on leads to stderr.

    Anything but the handshake there breaks the start, also when a C library or a child writes it.
    """
    copy = os.dup(1)
    os.dup2(2, 1)
    return copy


def leave(stdout: int, text: str) -> None:
    """Print `text` on the real stdout and end."""
    os.write(stdout, text.encode())
    sys.exit(0)


if __name__ == "__main__":
    main()
