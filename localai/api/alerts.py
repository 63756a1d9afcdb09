"""Alerts of a monitoring system, as Alertmanager's webhook sends them.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from localai.api import examples
from localai.api.answers import shown
from localai.api.auth import Caller, Rooms
from localai.api.bodies import VALUE, Whole, body, taken
from localai.api.described import problems, record, reference, schemas
from localai.notify.alerting import AlertTaken
from localai.notify.alerts import Alert, Group

PATH: Final = "/api/v1/alerts"
router = APIRouter(prefix=PATH, tags=["alerts"], default_response_class=Response)

_MOST_ALERTS: Final = 2_000
Status = Literal["firing", "resolved"]
Texts = Annotated[dict[str, str], Field(max_length=256)]


class _Foreign(BaseModel):
    """What newer versions add is passed over."""

    model_config = ConfigDict(strict=True)


class OneAlert(_Foreign):
    """One alert of the group."""

    status: Status
    labels: Texts
    annotations: Texts
    startsAt: str = Field(max_length=64, description="As RFC 3339.")  # noqa: N815 - as it is sent


class Alerts(_Foreign):
    """A group of alerts; all of its texts are somebody else's, and shown escaped."""

    version: Literal["4"]
    groupKey: str = Field(min_length=1, description="What stays the same of a group.")  # noqa: N815
    status: Status = Field(description="Firing while one of the alerts is.")
    alerts: list[OneAlert] = Field(min_length=1, max_length=_MOST_ALERTS)
    commonLabels: Texts = Field(default_factory=dict)  # noqa: N815
    commonAnnotations: Texts = Field(default_factory=dict)  # noqa: N815
    truncatedAlerts: Whole = Field(default=0, ge=0, le=2**31)  # noqa: N815

    @property
    def group(self) -> Group:
        """The same as it is told."""
        return Group(
            key=self.groupKey,
            status=self.status,
            alerts=[
                Alert(each.status, each.labels, each.annotations, each.startsAt)
                for each in self.alerts
            ],
            common_labels=self.commonLabels,
            common_annotations=self.commonAnnotations,
            truncated=self.truncatedAlerts,
        )


reference(Alerts)
for _name in ("Alerts", "OneAlert"):
    schemas[_name]["additionalProperties"] = VALUE


@router.post(
    "",
    operation_id="takeAlerts",
    summary="Have a group of alerts told",
    responses=problems(400, 401, 415) | record(AlertTaken, examples.ALERT_TAKEN),
    openapi_extra=taken(Alerts, firing=examples.ALERTS, resolved=examples.RESOLVED),
)
def take(actor: Caller, rooms: Rooms, told: Annotated[Alerts, body(Alerts)]) -> Response:
    """Through the channels and routes of this home; what it was told before it passes over.

    The answer comes when it is stored; 503, to come again, where no channel is set up. Needs
    `notify:write`.
    """
    return shown(rooms.alerting.take(actor, told.group))
