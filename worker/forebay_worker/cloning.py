"""Clones a repository with the git program. Knows no deployment.

A token goes to git in its environment, so that it stands neither in a command line, which other
users can read, nor in the configuration of the clone.
"""

import base64
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from forebay.errors import ForebayError

# The user as which each service takes a token. Source: their documentation of access by token.
TOKEN_USERS = {"gitlab": "oauth2", "bitbucket": "x-token-auth"}
ANY_USER = "x-access-token"


class CloneFailed(ForebayError):
    """There is no clone; the text says why, without credentials."""


@dataclass(frozen=True)
class Repository:
    """What to clone, and how much of it."""

    url: str
    branch: str | None = None
    commit: str | None = None
    folders: tuple[str, ...] = ()  # none: all
    has_submodules: bool = False
    credentials: str | None = None  # a token, or USER:TOKEN
    name: str | None = None  # of the folder; by default that of repository and branch

    @property
    def folder(self) -> str:
        """Name of the folder that the clone gets. Raises `CloneFailed` for no plain name."""
        base = re.split(r"[/:]", self.url.rstrip("/").removesuffix(".git").rstrip("/"))[-1]
        name = self.name or "-".join([base, *(self.branch or "").replace("/", "-").split()])
        if not name or name.startswith(("-", ".")) or "/" in name:
            raise CloneFailed(f"{name!r} cannot be the name of a clone's folder.")
        return name


def clone(repository: Repository) -> Path:
    """Clone into the current folder, in place of an earlier clone there; the clone's folder."""
    folder = Path(repository.folder)
    if (folder / ".git").exists():
        shutil.rmtree(folder)  # of a try of the same run
    options = ["--single-branch", "--no-tags"]
    if repository.commit is None:
        options.append("--depth=1")
    else:
        options.append("--no-checkout")
    if repository.branch:
        options.append(f"--branch={repository.branch}")
    if repository.folders:
        options.append("--sparse")
    environment = _environment(repository)
    _git(["clone", "--quiet", *options, "--", repository.url, str(folder)], environment)
    if repository.folders:
        _git(
            ["sparse-checkout", "set", "--end-of-options", *repository.folders],
            environment,
            folder,
        )
    if repository.commit is not None:
        _git(["fetch", "--quiet", "origin", "--", repository.commit], environment, folder)
        _git(["checkout", "--quiet", "--detach", "FETCH_HEAD"], environment, folder)
    if repository.has_submodules:
        _git(["submodule", "--quiet", "update", "--init", "--recursive"], environment, folder)
    return folder


def credentials_of(token: str | None, block: Mapping[str, Any] | None) -> str | None:
    """What a step's `access_token`, or the data of its block of `credentials`, comes to."""
    if block is None:
        return token
    secret = block.get("token") or block.get("access_token") or block.get("password")
    user = block.get("username")
    return f"{user}:{secret}" if user and secret else secret


def _environment(repository: Repository) -> dict[str, str]:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    if repository.credentials is None:
        return environment
    place = urlsplit(repository.url)
    if place.scheme not in ("http", "https"):
        raise CloneFailed("A token is for repositories at https://; others use the keys of SSH.")
    host = place.hostname or ""
    user = next((user for part, user in TOKEN_USERS.items() if part in host), ANY_USER)
    given = repository.credentials
    pair = given if ":" in given else f"{user}:{given}"
    header = base64.b64encode(pair.encode()).decode()
    # Only for this host: a redirect or a submodule elsewhere is not shown the token.
    address = place.netloc.rpartition("@")[2]
    return environment | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{place.scheme}://{address}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {header}",
    }


def _git(words: list[str], environment: Mapping[str, str], folder: Path | None = None) -> None:
    try:
        ended = subprocess.run(
            ["git", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise CloneFailed(f"git cannot be run here: {error.strerror}.") from None
    if ended.returncode:
        told = re.sub(r"://[^/@\s]+@", "://", ended.stderr.strip())
        raise CloneFailed(f"git {words[0]} ended with code {ended.returncode}: {told}")
