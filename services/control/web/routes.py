"""Paths of the web server."""

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
_MOST = 5_000


def routes(
    answers: Answers, commands: CommandService, streams: Streams, ready: Callable[[], None]
) -> list[web.AbstractRouteDef]:
    """All paths. ``ready`` raises `Retriable` while the read model is being made."""

    def get(path: str, work: Callable[[web.Request], dict[str, Any]]) -> web.RouteDef:
        async def answer(request: web.Request) -> web.StreamResponse:
            ready()
            found = web.json_response(await asyncio.to_thread(work, request))
            found.enable_compression()
            return found

        return web.get(f"/api/{path}", answer)

    async def stream(request: web.Request) -> web.StreamResponse:
        ready()
        return await streams.answer(request)

    async def command(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in NAMES:
            raise web.HTTPNotFound(text=f"there is no command {name!r}; there is {', '.join(NAMES)}")
        asked = _asked(await request.read())
        ready()
        return web.json_response(as_dict(await asyncio.to_thread(commands.submit, name, asked)))

    return [
        get("loops", lambda _: answers.loops()),
        get("loops/{loop}/releases", lambda asked: answers.releases(_loop(asked))),
        get(
            "loops/{loop}/windows",
            lambda asked: answers.windows(_loop(asked), _number(asked, _WINDOWS), asked.query.getall("input", None)),
        ),
        get("loops/{loop}/inputs", lambda asked: answers.inputs(_loop(asked), _number(asked, _WINDOWS))),
        get("loops/{loop}/history", lambda asked: answers.history(_loop(asked))),
        get("loops/{loop}/timeline", lambda asked: answers.timeline(_loop(asked), _number(asked, _EVENTS))),
        get("timeline", lambda asked: answers.timeline("", _number(asked, _EVENTS))),
        get("chains/{id}", lambda asked: answers.chain(asked.match_info["id"])),
        get("events/{id}", lambda asked: answers.event(asked.match_info["id"])),
        get("lineage/{id}", lambda asked: answers.lineage(asked.match_info["id"])),
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


def _number(request: web.Request, otherwise: int) -> int:
    text = request.query.get("newest", str(otherwise))
    if not text.isdecimal() or not 0 < int(text) <= _MOST:
        raise web.HTTPBadRequest(text=f"newest is {text!r}; give a number from 1 to {_MOST}")
    return int(text)


def _asked(body: bytes) -> api.CommandRequest:
    try:
        return json_format.ParseDict(json.loads(body), api.CommandRequest())
    except (ValueError, json_format.ParseError) as error:
        raise web.HTTPBadRequest(text=f"that is no command: {error}") from error
