"""Run by the real Prefect's Python: imports Prefect once and forks a process for each command.

Importing Prefect is most of what one of its commands costs. A connection to the socket SOCKET
carries one request, `{"script": null | "x.py", "arguments": […]}`, and the file for its output;
the answers are the id of the process and, at its end, its exit code, each on a line. A child does
what `prefect ARGUMENTS` or `python x.py ARGUMENTS` does; nothing of it is left in the next one.
"""

import importlib
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path

import prefect.main  # noqa: F401
from prefect.cli._app import app

LOADED = (
    "artifact",
    "block",
    "concurrency_limit",
    "deployment",
    "flow_run",
    "global_concurrency_limit",
    "variable",
    "work_pool",
    "work_queue",
    "worker",
)


def main(path: str) -> None:
    for name in LOADED:
        importlib.import_module(f"prefect.cli.{name}")
    importlib.import_module("prefect.workers.process")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        signal.signal(signal.SIGCHLD, reap)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                break
            connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, files, *_ = socket.recv_fds(connection, 65536, 1)
    child = os.fork()
    if child == 0:
        connection.close()
        for number in (1, 2):
            os.dup2(files[0], number)
        run(**json.loads(message))
        return
    connection.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def reap(*_: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass  # none is left


def run(script: str | None, arguments: list[str]) -> None:
    sys.argv = [script or "prefect", *arguments]
    if script is None:
        sys.exit(app())
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")


main(*sys.argv[1:])
