"""The description of the doors, OpenAPI 3.1, made from the code that serves them.

https://spec.openapis.org/oas/v3.1.1.html
"""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from localai.api.auth import SCHEMES, caller
from localai.api.described import schemas

TITLE: Final = "localai"
_SUMMARY: Final = "Local AI whose risky actions wait for a person"
_DESCRIPTION: Final = """Requests, decisions, documents, conversations and figures of one home.

Every request but `/health` and `/ready` comes with an API key (`ai keys create --user NAME`). What
is not done is told as a problem document (RFC 9457). Records are those that `--json` prints.
"""
_TAGS: Final = [
    {"name": "approvals", "description": "What waits for a person, and what became of it."},
    {"name": "documents", "description": "What is indexed, and what it says to a question."},
    {"name": "conversations", "description": "What was said, kept and found again."},
    {"name": "alerts", "description": "What a monitoring system has told to people."},
    {"name": "health", "description": "Whether the server lives and works, and its figures."},
]


def install(app: FastAPI) -> None:
    """Let the application describe itself so."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _described(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(
        title=TITLE,
        version=app.version,
        summary=_SUMMARY,
        description=_DESCRIPTION,
        routes=app.routes,
        tags=_TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": "/"}],
    )
    components = found.setdefault("components", {})
    components["schemas"] = dict(sorted({**components.get("schemas", {}), **schemas}.items()))
    components["securitySchemes"] = SCHEMES
    for route in app.routes:
        if isinstance(route, APIRoute) and _wants_key(route):
            for method in route.methods or ():
                _operation(found, route.path_format, method)["security"] = [
                    {name: []} for name in SCHEMES
                ]
    return found


def _wants_key(route: APIRoute) -> bool:
    return any(each.call is caller for each in route.dependant.dependencies)


def _operation(found: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    """What is told of it."""
    operations: dict[str, dict[str, Any]] = found["paths"].get(path, {})
    return operations.get(method.lower(), {})
