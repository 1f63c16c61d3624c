"""Keeps figures as JSON and as a plot, in files named by the day and the commit."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import plot
from bench.figures import Figure


def keep(folder: Path, figures: Sequence[Figure], label: str, about: dict[str, Any]) -> Path:
    """Write both files and return the path of the JSON; `label` tells what they are only part of."""
    day = datetime.now(UTC).date().isoformat()
    name = "-".join(part for part in (day, commit(), label) if part)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    found = {
        "date": day,
        "commit": commit(),
        **machine(),
        **about,
        "figures": [figure.as_json() for figure in figures],
    }
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    path.with_suffix(".svg").write_text(plot.svg(figures, f"Forebay {name}"))
    return path


def commit() -> str:
    """The short id of what is checked out; `-dirty` when files differ from it."""
    return subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def machine() -> dict[str, Any]:
    """What rates depend on."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def load() -> float:
    """How many processes wanted a core in the last minute; on a quiet machine almost none."""
    return round(os.getloadavg()[0], 2)
