"""The channels that the settings set up, each built when it is first used."""

import ssl
from functools import partial

from localai.core import settings as keys
from localai.core.clock import Clock
from localai.core.errors import Invalid, LocalaiError, NotFound, Unavailable
from localai.core.escape import visible
from localai.core.secrets import Secrets
from localai.core.settings import Settings
from localai.notify.console import Terminal
from localai.notify.events import CHANNELS
from localai.notify.plan import configured
from localai.notify.post import Post
from localai.notify.records import Channel
from localai.notify.slack import Slack
from localai.notify.smtp import PORTS, Server, Smtp, addresses
from localai.notify.webhook import Webhook


class Channels:
    """The channels of one home; `tls` is whom to believe, else the system's list."""

    def __init__(
        self,
        settings: Settings,
        secrets: Secrets,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._clock = clock
        self._tls = tls
        self._made: dict[str, Channel] = {}

    def __getitem__(self, name: str) -> Channel:
        """The channel; NotFound where it is not set up, Invalid where it is wrongly."""
        if name not in CHANNELS:
            message = f"there is no channel {visible(name)}"
            raise NotFound(message, hint=f"one of {', '.join(CHANNELS)}")
        if name not in configured(self._settings):
            hint = f"ai config set {_FIRST[name]} VALUE"
            raise NotFound(f"the channel {name} is not set up", hint=hint)
        if name not in self._made:
            self._made[name] = self._build(name)
        return self._made[name]

    def leads_to(self, name: str) -> str:
        """Where the channel leads, as it may be shown."""
        shown = {
            "mail": f"{self._settings[keys.NOTIFY_SMTP_TO]}"
            f" through {self._settings[keys.NOTIFY_SMTP_HOST]}",
            "slack": self._settings[keys.NOTIFY_SLACK_CHANNEL] or "the webhook's channel",
            "webhook": self._settings[keys.NOTIFY_WEBHOOK_URL],
            "terminal": "whoever talks or watches",
            "apprise": "the URLs of the secret apprise-urls",
        }
        return shown[name]

    def problem(self, name: str) -> str | None:
        """What keeps the channel from being used at all, as far as it can be told from here."""
        try:
            self[name]
            for secrets in self._needs(name):
                if not any(self._secrets.find(secret) for secret in secrets):
                    return f"the secret {' or '.join(secrets)} is not set"
        except LocalaiError as error:
            return error.message
        return None

    def _needs(self, name: str) -> tuple[tuple[str, ...], ...]:
        if name == "mail":
            return (("smtp-password",),) if self._settings[keys.NOTIFY_SMTP_USERNAME] else ()
        return _SECRETS.get(name, ())

    def _build(self, name: str) -> Channel:
        if name == "mail":
            return self._mail()
        if name == "terminal":
            return Terminal()
        if name == "apprise":
            return self._apprise()
        post = Post(tls=self._tls)
        if name == "slack":
            return Slack(self._secrets.find, self._settings[keys.NOTIFY_SLACK_CHANNEL], post)
        url = self._settings[keys.NOTIFY_WEBHOOK_URL]
        return Webhook(url, partial(self._secrets.get, "webhook-key"), self._clock, post)

    def _mail(self) -> Channel:
        get = self._settings
        security, username = get[keys.NOTIFY_SMTP_SECURITY], get[keys.NOTIFY_SMTP_USERNAME]
        found = {
            key.name: addresses(get[key], key.name)
            for key in (keys.NOTIFY_SMTP_FROM, keys.NOTIFY_SMTP_TO, keys.NOTIFY_ESCALATE_TO)
        }
        to = found[keys.NOTIFY_SMTP_TO.name]
        sender = found[keys.NOTIFY_SMTP_FROM.name] or addresses(username, "notify.smtp.username")
        if not to:
            raise Invalid("nobody gets mail", hint="ai config set notify.smtp.to you@example.org")
        server = Server(
            host=get[keys.NOTIFY_SMTP_HOST],
            port=get[keys.NOTIFY_SMTP_PORT] or PORTS[security],
            security=security,
            username=username,
            sender=(sender or to)[0],
            to=to,
            escalated_to=found[keys.NOTIFY_ESCALATE_TO.name],
        )
        return Smtp(server, partial(self._secrets.get, "smtp-password"), tls=self._tls)

    def _apprise(self) -> Channel:
        try:
            from localai.notify.apprise_urls import Apprise  # noqa: PLC0415 - an extra
        except ImportError as error:
            message = "Apprise is not installed"
            raise Unavailable(message, hint="pip install 'localai-suite[apprise]'") from error
        return Apprise(partial(self._secrets.get, "apprise-urls"))


_SECRETS = {
    "slack": (("slack-webhook-url", "slack-bot-token"),),
    "webhook": (("webhook-key",),),
    "apprise": (("apprise-urls",),),
}
_FIRST = {
    "mail": keys.NOTIFY_SMTP_HOST.name,
    "slack": keys.NOTIFY_SLACK_ENABLED.name,
    "webhook": keys.NOTIFY_WEBHOOK_URL.name,
    "terminal": keys.NOTIFY_TERMINAL.name,
    "apprise": keys.NOTIFY_APPRISE_ENABLED.name,
}
