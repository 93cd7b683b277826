"""The built web app: files with hashed names for ever, the page itself asked for anew each time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response

from dashboards.errors import not_found

_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
_NOT_BUILT: Final = """<!doctype html><html lang="ja"><meta charset="utf-8"><title>Satomori</title>
<p>ウェブ画面はまだビルドされていません。/ The web app is not built; the API answers under /api.</p>
"""


def page_router(static_dir: Path | None) -> APIRouter:
    """Routes for everything that is not the API; unknown paths give the page (it has its own)."""
    router = APIRouter(include_in_schema=False)
    root = static_dir.resolve() if static_dir else None

    @router.api_route("/{path:path}", methods=["GET", "HEAD"])
    def page(path: str) -> Response:
        if path.startswith(("api/", "login/")) or path in ("api", "metrics"):
            raise not_found("page")
        if root is None:
            return HTMLResponse(_NOT_BUILT, status_code=404)
        return _file(root, path)

    return router


def _file(root: Path, path: str) -> Response:
    file = (root / path).resolve() if "\0" not in path else root
    if file.is_relative_to(root) and file.is_file() and file != root / "index.html":
        is_hashed = file.parent == root / "assets"
        return FileResponse(file, headers={"Cache-Control": _FOR_EVER if is_hashed else _ASK_AGAIN})
    if path.startswith("assets/"):
        raise not_found("file")  # a page of yesterday: its script must fail, not become HTML
    return FileResponse(root / "index.html", headers={"Cache-Control": _ASK_AGAIN})
