"""Figures at a port of their own, for a scraper of this machine that has no key: `metrics.port`."""

from typing import Final

from fastapi import APIRouter, Request, Response

PATH: Final = "/metrics"
MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
router = APIRouter()


@router.get(PATH)
def metrics(request: Request) -> Response:
    """What `ai metrics` prints, as the operator who set the port."""
    return Response(request.app.state.publish(), media_type=MEDIA_TYPE)
