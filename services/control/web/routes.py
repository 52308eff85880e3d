"""Routes of the web server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from google.protobuf import json_format

from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts.message_json import as_dict
from driftloop.readmodel import page_components
from services.control.command_service import CommandService
from services.control.domain.commands import NAMES
from services.control.web.answers import Answers
from services.control.web.stream import Streams

STATIC = Path(__file__).parent / "static"
_WINDOWS = 90
_EVENTS = 200
_MAX_NEWEST = 5_000


def routes(
    answers: Answers, commands: CommandService, streams: Streams, ready: Callable[[], None]
) -> list[web.AbstractRouteDef]:
    """Return all routes. ``ready`` raises `Retriable` while the read model is being built."""

    def get(path: str, work: Callable[[web.Request], dict[str, Any]]) -> web.RouteDef:
        async def answer(request: web.Request) -> web.StreamResponse:
            ready()
            response = web.json_response(await asyncio.to_thread(work, request))
            response.enable_compression()
            return response

        return web.get(f"/api/{path}", answer)

    async def stream(request: web.Request) -> web.StreamResponse:
        ready()
        return await streams.answer(request)

    async def command(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in NAMES:
            raise web.HTTPNotFound(text=f"there is no command {name!r}; there are {', '.join(NAMES)}")
        command_request = _parse_command(await request.read())
        ready()
        return web.json_response(as_dict(await asyncio.to_thread(commands.submit, name, command_request)))

    return [
        get("loops", lambda _: answers.loops()),
        get("loops/{loop}/releases", lambda request: answers.releases(_loop(request))),
        get(
            "loops/{loop}/windows",
            lambda request: answers.windows(
                _loop(request), _number(request, _WINDOWS), request.query.getall("input", None)
            ),
        ),
        get("loops/{loop}/inputs", lambda request: answers.inputs(_loop(request), _number(request, _WINDOWS))),
        get("loops/{loop}/slices", lambda request: answers.slices(_loop(request), _number(request, _WINDOWS))),
        get("loops/{loop}/history", lambda request: answers.history(_loop(request))),
        get("loops/{loop}/timeline", lambda request: answers.timeline(_loop(request), _number(request, _EVENTS))),
        get("timeline", lambda request: answers.timeline("", _number(request, _EVENTS))),
        get("chains/{id}", lambda request: answers.chain(request.match_info["id"])),
        get("events/{id}", lambda request: answers.event(request.match_info["id"])),
        get("lineage/{id}", lambda request: answers.lineage(request.match_info["id"])),
        web.get("/api/stream", stream),
        web.post("/api/commands/{name}", command),
        web.get("/", _page),
        web.static("/static/components", page_components.FOLDER),
        web.static("/static", STATIC),
    ]


async def _page(_request: web.Request) -> web.StreamResponse:
    return web.FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


def _loop(request: web.Request) -> str:
    return request.match_info["loop"]


def _number(request: web.Request, default: int) -> int:
    text = request.query.get("newest", str(default))
    if not text.isdecimal() or not 0 < int(text) <= _MAX_NEWEST:
        raise web.HTTPBadRequest(text=f"newest is {text!r}; use a number from 1 to {_MAX_NEWEST}")
    return int(text)


def _parse_command(body: bytes) -> api.CommandRequest:
    try:
        return json_format.ParseDict(json.loads(body), api.CommandRequest())
    except (ValueError, json_format.ParseError) as error:
        raise web.HTTPBadRequest(text=f"the body is not a valid command: {error}") from error
