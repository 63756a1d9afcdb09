"""Who is asking: the owner of the API key that came with the request, and nobody else.

A header or a body can say anything about who wrote it; none of that is read.
"""

from typing import Annotated, Final

import anyio.to_thread
from fastapi import Depends, Request

from localai.api.errors import NoKey
from localai.app import App
from localai.core.errors import Denied
from localai.core.strangers import key_in
from localai.rbac.permissions import Actor

# For the description alone: FastAPI's own classes would be worked out with every request.
SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "description": "`Authorization: Bearer KEY`",
        "scheme": "bearer",
    },
    "key": {
        "type": "apiKey",
        "description": "`X-API-Key: KEY`",
        "in": "header",
        "name": "X-API-Key",
    },
}


async def rooms(request: Request) -> App:
    """The rooms of the home that is served."""
    found: App = request.app.state.rooms
    return found


Rooms = Annotated[App, Depends(rooms)]


async def caller(request: Request) -> Actor:
    """Whose key it is; NoKey, and audited, where none holds."""
    found: App = request.app.state.rooms
    try:
        key = key_in(request.headers)
        # What is in memory is told sooner than a thread could be asked.
        if (known := found.api_keys.known(key)) is not None:
            return known
        return await anyio.to_thread.run_sync(found.api_keys.authenticate, key)
    except Denied as error:
        raise NoKey(error.message, hint=error.hint) from error


Caller = Annotated[Actor, Depends(caller)]
