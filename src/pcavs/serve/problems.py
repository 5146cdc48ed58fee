"""Errors of the API, as problem details of RFC 9457."""

import errno
import logging
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from pcavs.errors import PcavsError
from pcavs.serve.checker import NotReadyError

logger = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
_TITLES: Final = {
    400: "The request cannot be understood",
    401: "A token is needed",
    403: "Not allowed",
    404: "There is no such thing",
    405: "Not a verb of this address",
    408: "The request came too slowly",
    409: "Not in this state",
    413: "Too large",
    415: "Not of a type that is read",
    421: "Not a name of this service",
    422: "The request cannot be carried out",
    429: "Too many",
    500: "A fault of the service",
    503: "Not ready",
    507: "No space is left",
}


class Problem(HTTPException):
    """An error with a status and one line that says what was found and what to do."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        """Stores status, line and headers, whose names have _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(status, " ".join(detail.split()), named or None)


def problem_response(status: int, detail: str, headers: Any = None) -> JSONResponse:
    """Returns the response of an error."""
    body = {"type": "about:blank", "title": _TITLES.get(status, "Error"), "status": status, "detail": detail}
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def database_problem(error: SQLAlchemyError) -> JSONResponse:
    """Returns the answer while the database cannot be reached."""
    logger.error("the database failed: %s", type(getattr(error, "orig", error)).__name__)
    return problem_response(503, "the database cannot be reached; try again soon", {"Retry-After": "5"})


def install(app: FastAPI) -> None:
    """Makes every error of an application a problem."""

    @app.exception_handler(HTTPException)
    def _(_request: Request, error: HTTPException) -> JSONResponse:
        return problem_response(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    def _(_request: Request, error: RequestValidationError) -> JSONResponse:
        return problem_response(422, _first_error(error))

    @app.exception_handler(NotReadyError)
    def _(_request: Request, error: NotReadyError) -> JSONResponse:
        logger.error("%s", error)
        return problem_response(503, str(error), {"Retry-After": "5"})

    @app.exception_handler(PcavsError)
    def _(_request: Request, error: PcavsError) -> JSONResponse:
        return problem_response(422, " ".join(str(error).split()))

    @app.exception_handler(SQLAlchemyError)
    def _(_request: Request, error: SQLAlchemyError) -> JSONResponse:
        return database_problem(error)

    @app.exception_handler(OSError)
    def _(_request: Request, error: OSError) -> JSONResponse:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return problem_response(507, "the service has no space left; try again later")
        logger.error("a file failed: %s", error.strerror)
        return problem_response(500, "the service failed; its log says why")

    @app.exception_handler(Exception)
    def _(_request: Request, _error: Exception) -> JSONResponse:
        return problem_response(500, "the service failed; its log says why")  # uvicorn logs the trace


def _first_error(error: RequestValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(each) for each in first["loc"][1:]) or "the body"
    more = len(error.errors()) - 1
    return f"{place}: {first['msg'][:200]}" + (f" (and {more} more)" if more else "")
