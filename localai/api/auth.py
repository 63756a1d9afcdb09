"""Who is asking: the owner of the API key that came with the request, and nobody else.

A header or a body can say anything about who wrote it; none of that is read.
"""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from localai.api.errors import NoKey
from localai.app import App
from localai.core.errors import Denied
from localai.core.strangers import key_in
from localai.rbac.permissions import Actor

_BEARER = HTTPBearer(
    scheme_name="bearer", description="`Authorization: Bearer KEY`", auto_error=False
)
_HEADER = APIKeyHeader(
    name="X-API-Key", scheme_name="key", description="`X-API-Key: KEY`", auto_error=False
)


async def rooms(request: Request) -> App:
    """The rooms of the home that is served."""
    found: App = request.app.state.rooms
    return found


Rooms = Annotated[App, Depends(rooms)]


def caller(
    request: Request,
    found: Rooms,
    _bearer: Annotated[object, Security(_BEARER)],
    _header: Annotated[object, Security(_HEADER)],
) -> Actor:
    """Whose key it is; NoKey, and audited, where none holds."""
    try:
        return found.api_keys.authenticate(key_in(request.headers))
    except Denied as error:
        raise NoKey(error.message, hint=error.hint) from error


Caller = Annotated[Actor, Depends(caller)]
