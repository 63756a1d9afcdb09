"""The description of this interface, for programs and for people; nothing comes from elsewhere."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse

from localai.api.answers import shown

router = APIRouter(include_in_schema=False)

# What the pages load is ours; they style themselves, and ReDoc searches in a worker of its own.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFELY: Final = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".png": "image/png"}
_FILES: Final = frozenset({"swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js"})
_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>localai: {title}</title>
<link rel="icon" href="data:,">
{head}<div id="page"></div>
<script src="/docs/{library}"></script>
<script src="/docs/{start}"></script>
</html>
"""
_STYLE: Final = '<link rel="stylesheet" href="/docs/swagger-ui.css">\n'
_STARTS: Final = {
    "swagger.js": (
        'SwaggerUIBundle({url: "/openapi.json", dom_id: "#page", deepLinking: true, '
        "validatorUrl: null});\n"
    ),
    "redoc.js": (
        'Redoc.init("/openapi.json", {disableSearch: false}, document.getElementById("page"));\n'
    ),
}


@router.get("/openapi.json")
def openapi(request: Request) -> Response:
    """The whole description."""
    return shown(request.app.openapi())


@router.get("/docs")
def swagger() -> Response:
    """The description to read and to try, by Swagger UI."""
    library, start = "swagger-ui-bundle.js", "swagger.js"
    return _page(title="try it", head=_STYLE, library=library, start=start)


@router.get("/redoc")
def redoc() -> Response:
    """The description to read, by ReDoc."""
    library, start = "redoc.standalone.js", "redoc.js"
    return _page(title="reference", head="", library=library, start=start)


@router.get("/docs/{name}")
def file(name: str) -> Response:
    """What the pages are made of."""
    if name in _STARTS:
        return Response(_STARTS[name], media_type=_TYPES[".js"], headers=_SAFELY)
    if name not in _FILES:
        raise HTTPException(404)
    kind = _TYPES[Path(name).suffix]
    return FileResponse(_folder() / name, media_type=kind, headers=_SAFELY)


def _page(**words: str) -> Response:
    return Response(_PAGE.format(**words), media_type="text/html", headers=_SAFELY)


def _folder() -> Path:
    """Where the package that carries them put them; none of its code is loaded."""
    found = find_spec("fastapi_offline")
    if found is None or found.origin is None:
        raise HTTPException(404)
    return Path(found.origin).parent / "static"
