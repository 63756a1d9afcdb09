"""The description of this interface, for programs and for people; nothing comes from elsewhere."""

from fastapi import APIRouter, Request, Response

from localai.api.answers import shown

router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
def openapi(request: Request) -> Response:
    """The whole description."""
    return shown(request.app.openapi())
