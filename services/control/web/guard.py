"""HTTP middleware: who may call, what browsers may do with answers, and errors as JSON."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from driftloop.process.errors import Retriable
from services.control import metrics
from services.control.domain.commands import Impossible, Missing
from services.control.views import NotThere

_STATUS: dict[type[Exception], type[web.HTTPException]] = {
    Missing: web.HTTPBadRequest,
    NotThere: web.HTTPNotFound,
    Impossible: web.HTTPConflict,
    Retriable: web.HTTPServiceUnavailable,
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def guard(names: Collection[str]) -> Middleware:
    """Return a middleware for a server with these host names, `localhost` and addresses.

    Other origins cannot submit commands: browsers send the origin of a POST. Nor can they read through a name that
    resolves to this server: requests for other host names are refused.
    """
    known = {"localhost", *names}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        _check_host(request, known)
        if request.method == hdrs.METH_POST:
            _check_origin(request)
        try:
            return await handler(request)
        except tuple(_STATUS) as error:
            raise _STATUS[type(error)](text=str(error)) from error

    return check


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Return errors as JSON, and count answers by route."""
    try:
        answer = await handler(request)
        code = answer.status
    except web.HTTPException as error:
        if error.status < 400:
            raise
        answer, code = web.json_response({"error": error.text}, status=error.status), error.status
        if hdrs.ALLOW in error.headers:
            answer.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    route = request.match_info.route.resource
    metrics.CALLS.add(method=f"{request.method} {route.canonical if route else 'unknown'}", code=str(code))
    return answer


async def add_security_headers(_request: web.Request, answer: web.StreamResponse) -> None:
    """Add the headers that limit what a browser may do with an answer."""
    answer.headers.update(HEADERS)
    answer.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")


def _check_host(request: web.Request, known: Collection[str]) -> None:
    name = urlsplit(f"//{request.host}").hostname or ""
    if name not in known and not _is_address(name):
        raise web.HTTPMisdirectedRequest(text=f"this server does not serve the host {name!r}")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _check_origin(request: web.Request) -> None:
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get(hdrs.ORIGIN)
    foreign = site not in (None, "same-origin") or (origin is not None and urlsplit(origin).netloc != request.host)
    if foreign:
        raise web.HTTPForbidden(text="commands are accepted only from this server's own page")
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send the command as application/json")
