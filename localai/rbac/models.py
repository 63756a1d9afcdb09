"""Which models an API key is for."""

from localai.core.audit import Audit
from localai.core.db import Database
from localai.core.errors import Denied
from localai.rbac.permissions import Actor
from localai.rbac.service import Rbac


class ModelRights:
    """The models of the keys of one home; who comes without a key may use all."""

    def __init__(self, database: Database, audit: Audit, rbac: Rbac) -> None:
        self._database = database
        self._audit = audit
        self._rbac = rbac

    def listed(self, actor: Actor) -> frozenset[str] | None:
        """The models and roles that the actor's key is for; None for all."""
        models = self._rbac.allowance(actor).models
        return None if models is None else frozenset(models)

    def refusal(self, actor: Actor, model: str) -> Denied:
        """What to raise where the key is not for the model; audited."""
        message = f"the API key {actor.key} is not for the model {model}"
        details = {"key": actor.key, "kind": actor.kind, "reason": message}
        with self._database.transaction() as connection:
            self._audit.record(
                connection,
                "model.denied",
                actor=actor.signature,
                subject=model,
                details=details,
            )
        return Denied(message, hint="GET /v1/models lists those that it is for")
