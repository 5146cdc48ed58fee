"""The application: its routes, its page, and what surrounds them."""

import mimetypes
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

import pcavs
from pcavs.serve import problems, routes_about, routes_talks, routes_uploads
from pcavs.serve.guard import Guard
from pcavs.serve.service import Service

_PAGE: Final = Path(__file__).with_name("page")
"""Folder of the page's files."""
_DESCRIPTION: Final = (
    "Makes a photograph of a face speak: send a photograph and speech, order a film, watch it. Errors are problem "
    "details (RFC 9457). docs/serve.md shows calls."
)


def create_app(service: Service) -> FastAPI:
    """Returns the application of a service."""
    # No interactive documentation: its page loads scripts of other hosts.
    app = FastAPI(title="PC-AVS", version=pcavs.__version__, description=_DESCRIPTION, docs_url=None, redoc_url=None)
    app.state.service = service
    problems.install(app)
    for routes in (routes_uploads, routes_talks, routes_about):
        app.include_router(routes.router)

    @app.get("/", include_in_schema=False)
    def _() -> FileResponse:
        return FileResponse(_PAGE / "index.html")

    mimetypes.add_type("text/javascript", ".js")  # on Windows other programs change it, and nosniff makes it count
    app.mount("/page", StaticFiles(directory=_PAGE), name="page")
    if service.options.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(service.options.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
        )
    app.add_middleware(Guard, service=service)
    return app
