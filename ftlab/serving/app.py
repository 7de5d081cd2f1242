"""The answers of a server, and the page at /."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from ftlab.serving.counters import Counters
from ftlab.serving.documented import ANSWERED, LIVES, READY, TOLD, predict_operation
from ftlab.serving.gate import PREDICT, Access, Application, Gate
from ftlab.serving.limits import RefusedError
from ftlab.serving.service import Service

PAGE = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}


def application(service: Service, access: Access, counters: Counters, told: Mapping[str, Any]) -> Application:
    """An ASGI application. told: what /info says of the bundle."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    # The pages of FastAPI that show the interface fetch their scripts from elsewhere.
    app = FastAPI(title="ftlab", version=str(told["version"]), lifespan=lifespan, docs_url=None, redoc_url=None)
    _predictions(app, service)
    _facts(app, service, counters, told)
    _page(app)
    _errors(app)
    if access.origins:
        headers = ["Authorization", "Content-Type"]
        app.add_middleware(
            CORSMiddleware, allow_origins=access.origins, allow_methods=["GET", "POST"], allow_headers=headers
        )
    return Gate(app, access, service.limits, counters)


def _predictions(app: FastAPI, service: Service) -> None:
    operation = predict_operation(service.engine)

    @app.post(PREDICT, responses=ANSWERED, openapi_extra=operation, summary="One record an input, in the order given")
    async def predict(request: Request) -> JSONResponse:
        return JSONResponse({"predictions": await service.predict(request)})


def _facts(app: FastAPI, service: Service, counters: Counters, told: Mapping[str, Any]) -> None:
    @app.get("/health", responses=LIVES, summary="Whether the process lives")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get("/ready", responses=READY, summary="Whether predictions are answered")
    async def ready() -> JSONResponse:
        return JSONResponse({"ready": service.ready}, 200 if service.ready else 503)

    @app.get("/info", responses=TOLD, summary="What the network reads and says, and what is accepted of it")
    async def info() -> JSONResponse:
        return JSONResponse(told)

    @app.get("/metrics", response_class=Response, summary="Counters, in the text form of Prometheus")
    async def metrics() -> Response:
        return Response(counters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _page(app: FastAPI) -> None:
    for path, (name, kind) in PAGE.items():
        content = files("ftlab.serving").joinpath("page", name).read_bytes()
        app.add_api_route(path, _file(content, kind), include_in_schema=False)


def _file(content: bytes, kind: str) -> Any:
    async def found() -> Response:
        return Response(content, media_type=kind)

    return found


def _errors(app: FastAPI) -> None:
    """Each as {"error": text}; what is unknown goes to the terminal, and not to whoever asked."""

    async def refused(request: Request, error: Any) -> Response:
        return JSONResponse({"error": error.said}, error.status, error.headers)

    async def of_http(request: Request, error: Any) -> Response:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # that nobody reads

    async def unknown(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": "the server failed; its terminal says why"}, 500)

    handlers: Sequence[tuple[Any, Any]] = (
        (RefusedError, refused), (HTTPException, of_http), (ClientDisconnect, gone), (Exception, unknown)
    )  # fmt: skip
    for kind, handler in handlers:
        app.add_exception_handler(kind, handler)
