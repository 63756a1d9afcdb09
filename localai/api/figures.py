"""Figures at a port of their own, for a scraper of this machine that has no key: `metrics.port`."""

from typing import Final

from fastapi import APIRouter, Response

from localai.api.auth import Rooms

PATH: Final = "/metrics"
MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
router = APIRouter()


@router.get(PATH)
def metrics(rooms: Rooms) -> Response:
    """What `ai metrics` prints, as the operator who set the port."""
    return Response(rooms.exposition.text(rooms.actor), media_type=MEDIA_TYPE)
