"""`make demo`: Terraform makes a pool on a fresh server, a worker takes a run and executes it.

Every step is a command that a user could type; each is printed before it is run. Everything lives
in a temporary folder and is gone at the end.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FOREBAY = str(Path(sys.executable).parent / "forebay")
PARAMETERS: dict[str, Any] = {"name": "forebay", "times": 3}


class Demo:
    """The folder, the environment and the processes of one demonstration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FOREBAY_", "PREFECT_", "TF_"))
        }
        self.environment |= {
            "FOREBAY_HOME": str(folder / "home"),
            "TF_CLI_CONFIG_FILE": str(folder / "terraform.rc"),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
        }
        self.started: list[subprocess.Popen[str]] = []

    def run(self, *command: str, shown: str | None = None, cwd: Path | None = None) -> str:
        """Run a command to its end, print what it prints, and return its standard output."""
        print(f"\n$ {shown or ' '.join(command)}", flush=True)
        process = subprocess.Popen(
            command, cwd=cwd, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        output = []
        for line in process.stdout:
            print(f"  {line}", end="", flush=True)
            output.append(line)
        if process.wait() != 0:
            raise SystemExit(f"demo: the command ended with exit code {process.returncode}")
        return "".join(output)

    def read_json(self, *command: str) -> Any:
        """What a command answers in JSON, without printing it."""
        return json.loads(subprocess.check_output(command, env=self.environment, text=True))

    def start(self, *command: str, shown: str) -> subprocess.Popen[str]:
        """Start a command that goes on beside the others; its output goes to a file."""
        print(f"\n$ {shown} &", flush=True)
        with (self.folder / f"{command[1]}.log").open("w") as log:
            process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=subprocess.STDOUT, text=True
            )
        self.started.append(process)
        return process

    def wait_for(self, path: Path, process: subprocess.Popen[str], text: str) -> str:
        """The first line of `path` that holds `text`, once the process has written it."""
        for _ in range(600):
            written = path.read_text() if path.exists() else ""
            for line in written.splitlines(keepends=True):
                if text in line and line.endswith("\n"):
                    return line.strip()
            if process.poll() is not None:
                raise SystemExit(f"demo: the process ended early:\n{written}")
            time.sleep(0.05)
        raise SystemExit(f"demo: {text!r} did not appear:\n{written}")

    def end(self) -> None:
        """End what was started, the last one first."""
        for process in reversed(self.started):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def find_terraform() -> str:
    """Path of Terraform or OpenTofu."""
    if found := shutil.which("terraform") or shutil.which("tofu"):
        return found
    raise SystemExit(
        "demo: Terraform 1.8 or newer (or OpenTofu) is needed; install it and try again: "
        "https://developer.hashicorp.com/terraform/install"
    )


def main() -> None:
    """The demonstration; ends with exit code 0 only if the run did what it should."""
    terraform = find_terraform()
    tool = Path(terraform).name
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="forebay-demo-"))
    demo = Demo(folder)
    try:
        _title("1. A server, on SQLite in a folder of its own")
        server = demo.start(
            FOREBAY, "server", "start", "--port", "0", shown="forebay server start"
        )
        line = demo.wait_for(folder / "server.log", server, "Forebay serves ")
        print(f"  {line}")

        _title("2. The provider, where Terraform finds it")
        config = str(folder / "terraform.rc")
        demo.run(
            FOREBAY, "provider", "install", "--write-config", config,
            shown="forebay provider install --write-config terraform.rc",
        )  # fmt: skip

        _title("3. Terraform makes a work pool and a queue")
        infrastructure = folder / "infrastructure"
        infrastructure.mkdir()
        shutil.copy(HERE / "main.tf", infrastructure)
        demo.run(terraform, "init", "-no-color", shown=f"{tool} init", cwd=infrastructure)
        demo.run(
            terraform, "apply", "-auto-approve", "-no-color",
            shown=f"{tool} apply -auto-approve", cwd=infrastructure,
        )  # fmt: skip
        demo.run(
            terraform, "plan", "-detailed-exitcode", "-no-color",
            shown=f"{tool} plan -detailed-exitcode   # exit code 0: nothing left to do",
            cwd=infrastructure,
        )  # fmt: skip
        demo.run(FOREBAY, "work-pool", "ls", shown="forebay work-pool ls")

        _title("4. A worker serves the pool")
        worker = demo.start(
            FOREBAY, "worker", "start", "--pool", "quickstart", "--name", "demo-worker",
            shown="forebay worker start --pool quickstart",
        )  # fmt: skip

        _title("5. A deployment of a Python function, and a run of it")
        demo.run(
            FOREBAY, "deployment", "create", f"{HERE / 'greet.py'}:greet", "--name", "demo",
            "--pool", "quickstart", "--work-queue", "urgent",
            shown="forebay deployment create examples/quickstart/greet.py:greet --name demo "
            "--pool quickstart --work-queue urgent",
        )  # fmt: skip
        parameters = [f"--param={name}={json.dumps(v)}" for name, v in PARAMETERS.items()]
        demo.run(
            FOREBAY, "deployment", "run", "greet/demo", *parameters, "--watch",
            shown="forebay deployment run greet/demo --param name=forebay --param times=3 --watch",
        )  # fmt: skip
        if worker.poll() is not None:
            raise SystemExit("demo: the worker ended early")

        _title("6. What came of it")
        demo.run(FOREBAY, "flow-run", "ls", shown="forebay flow-run ls")
        check_result(demo)
    finally:
        print("\nEnding the worker and the server …", flush=True)
        demo.end()
        shutil.rmtree(folder)
    print(f"\nAll of it took {time.monotonic() - began:.0f} s, and all of it is gone again.")
    print_next(tool)


def check_result(demo: Demo) -> None:
    """Read the run and its logs back and compare them with what was asked for."""
    runs = demo.read_json(FOREBAY, "flow-run", "ls", "-o", "json")
    states = [run["state_type"] for run in runs]
    if states != ["COMPLETED"]:
        raise SystemExit(f"demo: expected one completed run, found {states}")
    logs = demo.read_json(FOREBAY, "flow-run", "logs", runs[0]["id"], "-o", "json")
    lines = [log["message"] for log in logs]
    for count in range(1, PARAMETERS["times"] + 1):
        expected = f"Hello, {PARAMETERS['name']}! ({count} of {PARAMETERS['times']})"
        if expected not in lines:
            raise SystemExit(f"demo: {expected!r} is missing in the logs: {lines}")
    print("\n  Checked: the run is COMPLETED, with its parameters and all its lines of log.")


def print_next(tool: str) -> None:
    """What to try after the demonstration."""
    print(
        f"""
What to try next, from this folder (`source .venv/bin/activate` first):
  forebay server start                        a server that stays, on port 4200
  forebay provider install --write-config ~/.terraformrc
  cp -r examples/quickstart /tmp/try && cd /tmp/try && {tool} init && {tool} apply
  forebay worker start --pool quickstart      in a second terminal
  forebay work-pool set-concurrency-limit quickstart 1
  forebay --help"""
    )


def _title(text: str) -> None:
    print(f"\n\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() else f"\n=== {text}", flush=True)


if __name__ == "__main__":
    main()
