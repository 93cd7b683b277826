"""What goes wrong in a request, as the API says it.

``{"error": {"code", "message", "path"}}`` for everything, also for what FastAPI finds itself.
"""

from __future__ import annotations

from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from ingest.stores.series_store import StoreOutage

log = structlog.get_logger()


class ErrorBody(BaseModel):
    """``code`` is for programs, ``message`` for people, ``path`` says where."""

    code: str
    message: str
    path: str


class ErrorAnswer(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorBody


class Refusal(HTTPException):
    """A request that cannot be answered as asked; becomes the API's error body."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        path: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code
        self.path = path


def not_found(what: str) -> Refusal:
    """404 for what is not there, or not there for this person: both look the same."""
    return Refusal(404, "not_found", f"no such {what}")


def handle_errors(app: FastAPI) -> None:
    """Give every failure the API's error body."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _unprocessable)
    app.add_exception_handler(StoreOutage, _out_of_order)
    app.add_exception_handler(OperationalError, _out_of_order)
    app.add_exception_handler(Exception, _crashed)


def error_answer(
    status: int, code: str, message: str, path: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """The response for one error."""
    body = ErrorAnswer(error=ErrorBody(code=code, message=message, path=path))
    return JSONResponse(body.model_dump(), status, headers)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
    path = request.url.path
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    if isinstance(error, Refusal):
        path, code = error.path or path, error.code
    headers = dict(error.headers) if error.headers else None
    return error_answer(error.status_code, code, str(error.detail), path, headers)


async def _unprocessable(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    return error_answer(422, "invalid", str(first["msg"]), path)


async def _out_of_order(request: Request, error: Exception) -> JSONResponse:
    log.warning("web.request.out_of_order", path=request.url.path, error=type(error).__name__)
    code = "store_outage" if isinstance(error, StoreOutage) else "database_outage"
    message = "try again soon; nothing is lost"
    return error_answer(503, code, message, request.url.path, {"Retry-After": "5"})


async def _crashed(request: Request, error: Exception) -> JSONResponse:
    log.error("web.request.crashed", path=request.url.path, error=repr(error))
    return error_answer(500, "internal", "an error of the program", request.url.path)
