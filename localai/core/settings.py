"""Settings, and where each value came from: flag, environment, config.toml, profile, default.

Every setting is one `Key`, so a wrong name cannot be read and a value has a type. Secrets are
never settings: they live in core/secrets.py.
"""

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from localai.core.clock import Hours, seconds
from localai.core.errors import Invalid, NotFound
from localai.core.rate import rate

PREFIX = "LOCALAI_"
# Variables of ours that are not settings; secrets follow LOCALAI_SECRET_.
OTHER_VARIABLES = frozenset({"LOCALAI_API_KEY", "LOCALAI_HOME", "LOCALAI_PASSPHRASE"})
SECRET_PREFIX = "LOCALAI_SECRET_"  # noqa: S105 - the name of a variable

T = TypeVar("T")


@dataclass(frozen=True)
class Key(Generic[T]):
    """One setting: its name, its default as text, how text becomes a value, what it does."""

    name: str
    default: str
    parse: Callable[[str], T]
    help: str
    by_profile: Mapping[str, str] = field(default_factory=dict)

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.name.upper().replace(".", "_")


@dataclass(frozen=True)
class Setting:
    """A setting as it stands: what it is and who said so."""

    key: str
    value: str
    source: str
    help: str


@dataclass(frozen=True)
class Problem:
    """Something wrong with a variable or a line of config.toml."""

    where: str
    message: str


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise Invalid(f"{text!r} is not one of {', '.join(filter(None, allowed))}")
        return text

    return parse


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false", "1", "0", "yes", "no", "on", "off"}:
        raise Invalid(f"{text!r} is not true or false")
    return text.lower() in {"true", "1", "yes", "on"}


def _whole(least: int, most: int = 2**31 - 1) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError as error:
            raise Invalid(f"{text!r} is not a whole number") from error
        if not least <= number <= most:
            raise Invalid(f"{text} is not between {least} and {most}")
        return number

    return parse


def _maybe(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    """What is empty is nobody's choice."""
    return lambda text: parse(text) if text else None


def _span(text: str) -> int:
    if not (span := seconds(text)):
        raise Invalid("a duration of nothing leaves no time to answer")
    return span


def _path(text: str) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part).expanduser().absolute() for part in text.split(":") if part)


PROFILE = Key(
    "profile", "dev", _choice("dev", "staging", "prod"), "Which defaults hold: dev, staging or prod"
)
SECURITY_MODE = Key(
    "security.mode",
    "normal",
    _choice("normal", "strict"),
    "normal asks from high risk up; strict from medium up, and refuses what cannot be confined",
    {"prod": "strict"},
)
APPROVALS_ENABLED = Key(
    "approvals.enabled", "true", _boolean, "Risky actions wait for a person; strict needs it on"
)
APPROVALS_TIMEOUT = Key(
    "approvals.timeout", "5m", _span, "How long a request waits", {"prod": "30m"}
)
APPROVALS_GRANT = Key("approvals.grant", "15m", _span, "How long an unclaimed approval lasts")
APPROVALS_PENDING = Key(
    "approvals.pending", "5", _whole(1, 1000), "Requests of one conversation that wait at most"
)
RATE_LIMITS_ENABLED = Key(
    "rate_limits.enabled", "true", _boolean, "Calls of a tool are limited; strict needs it on"
)
RATE_LIMITS_CALLS = Key(
    "rate_limits.calls", "60/1m", rate, "How often a user may call a tool; as many at once"
)
AGENT_STEPS = Key(
    "agent.steps", "20", _whole(1, 1000), "How often a model may call tools before it must answer"
)
AGENT_TOKENS = Key(
    "agent.tokens",
    "100000",
    _whole(1),
    "Tokens that an answer may read and write, all steps together",
)
SANDBOX_ENABLED = Key(
    "sandbox.enabled", "true", _boolean, "Programs run in the sandbox; strict needs it on"
)
SANDBOX_READABLE = Key(
    "sandbox.readable", "", _paths, "Folders that programs in it may read, with : between them"
)
SANDBOX_TIMEOUT = Key("sandbox.timeout", "2m", _span, "How long a program may run")
SANDBOX_MEMORY = Key("sandbox.memory_mb", "2048", _whole(64), "MB of memory that a program may use")
MODELS_DIR = Key("models.dir", "", _path, "Where model files lie; empty is inside the home")
MODELS_CHAT = Key("models.chat", "", str, "The model for questions; empty is the first by name")
MODELS_CODE = Key("models.code", "", str, "The model for code; empty is the chat model")
ENGINE_URL = Key(
    "engine.url", "", str, "An OpenAI-compatible server, such as http://127.0.0.1:8080/v1"
)
ENGINE_TIMEOUT = Key("engine.timeout", "2m", _span, "The longest silence of that server")
ENGINE_CONTEXT = Key(
    "engine.context",
    "",
    _maybe(_whole(0)),
    "Tokens of context; 0 is all, empty 8192, or 4096 where the model then fits the graphics card",
)
ENGINE_THREADS = Key("engine.threads", "0", _whole(0, 512), "Threads that compute; 0 is one a core")
ENGINE_PARKED = Key(
    "engine.parked_mb", "2048", _whole(0), "MB on disk for what models remember; 0 keeps nothing"
)
ENGINE_GPU_LAYERS = Key(
    "engine.gpu_layers", "-1", _whole(-1), "Layers on the graphics card; -1 is as many as fit"
)
ENGINE_KV_TYPE = Key(
    "engine.kv_type",
    "",
    _choice("", "f16", "q8_0", "q4_0"),
    "How the context is kept: f16, q8_0 or q4_0; empty is f16, or q8_0 where more layers then fit",
)
ENGINE_FLASH_ATTENTION = Key(
    "engine.flash_attention",
    "",
    _maybe(_boolean),
    "Whether attention is computed in one step; empty is where llama.cpp can",
)
SESSIONS_KEEP = Key(
    "sessions.keep",
    "",
    _maybe(_span),
    "How long a conversation is kept unused, longer if it is important; empty is for ever",
)
RAG_MODEL = Key("rag.model", "localai/static-192", str, "The embedding model")
RAG_RERANKER = Key(
    "rag.reranker", "", str, "The model that puts the best passages in order; empty is none"
)
RAG_QDRANT_URL = Key(
    "rag.qdrant_url", "", str, "A Qdrant server for new collections, such as http://127.0.0.1:6333"
)
NOTIFY_ENABLED = Key(
    "notify.enabled", "true", _boolean, "What waits for a person is told where channels are set"
)
NOTIFY_SMTP_HOST = Key("notify.smtp.host", "", str, "The server that takes mail; empty is none")
NOTIFY_SMTP_PORT = Key(
    "notify.smtp.port",
    "",
    _maybe(_whole(1, 65535)),
    "Its port; empty is 587, 465 for tls, 25 for none",
)
NOTIFY_SMTP_SECURITY = Key(
    "notify.smtp.security",
    "starttls",
    _choice("none", "starttls", "tls"),
    "How the way to it is encrypted: starttls, tls or none",
)
NOTIFY_SMTP_USERNAME = Key("notify.smtp.username", "", str, "Who logs in there; empty is nobody")
NOTIFY_SMTP_FROM = Key("notify.smtp.from", "", str, "Who mails are from; empty is the user name")
NOTIFY_SMTP_TO = Key("notify.smtp.to", "", str, "Who gets mail, with commas between addresses")
NOTIFY_SLACK_ENABLED = Key(
    "notify.slack.enabled", "false", _boolean, "Post to Slack, by webhook or as a bot"
)
NOTIFY_SLACK_CHANNEL = Key("notify.slack.channel", "", str, "Where the bot posts, as in #approvals")
NOTIFY_WEBHOOK_URL = Key(
    "notify.webhook.url", "", str, "Where signed JSON is posted; empty is none"
)
NOTIFY_APPRISE_ENABLED = Key(
    "notify.apprise.enabled", "false", _boolean, "Send to the URLs of the secret apprise-urls"
)
NOTIFY_TERMINAL = Key(
    "notify.terminal", "false", _boolean, "Ring the terminal of a conversation or a watch"
)
NOTIFY_LANGUAGE = Key(
    "notify.language", "en", _choice("en", "ko"), "What messages are written in: en or ko"
)
NOTIFY_BATCH = Key(
    "notify.batch", "1m", seconds, "After a message, how long the next ones gather; 0 is not at all"
)
NOTIFY_QUIET_HOURS = Key(
    "notify.quiet_hours", "", _maybe(Hours.read), "When only what is critical is told: 22:00-07:00"
)
NOTIFY_ESCALATE_AFTER = Key(
    "notify.escalate_after",
    "",
    _maybe(_span),
    "When nobody has decided, tell others; empty is never",
)
NOTIFY_ESCALATE_TO = Key(
    "notify.escalate_to", "", str, "Who gets mail then; empty is those of notify.smtp.to"
)
METRICS_PORT = Key(
    "metrics.port", "0", _whole(0, 65535), "Where figures are published on this machine; 0 is not"
)
SERVER_PORT = Key("server.port", "8020", _whole(0, 65535), "Where `ai serve` listens; 0 is any")
SERVER_KEEP_ALIVE = Key(
    "server.keep_alive", "30m", _span, "How long `ai serve` keeps an unused model loaded"
)
LOG_LEVEL = Key(
    "log.level",
    "info",
    _choice("debug", "info", "warning", "error"),
    "What the log file keeps",
    {"prod": "warning"},
)
LOG_FILE = Key("log.file", "", _path, "The log file; empty is inside the home")

# Off is for development; strict mode refuses it.
PROTECTING = (APPROVALS_ENABLED, RATE_LIMITS_ENABLED, SANDBOX_ENABLED)

KEYS: dict[str, Key[Any]] = {
    key.name: key
    for key in (
        PROFILE,
        SECURITY_MODE,
        APPROVALS_ENABLED,
        APPROVALS_TIMEOUT,
        APPROVALS_GRANT,
        APPROVALS_PENDING,
        RATE_LIMITS_ENABLED,
        RATE_LIMITS_CALLS,
        AGENT_STEPS,
        AGENT_TOKENS,
        SANDBOX_ENABLED,
        SANDBOX_READABLE,
        SANDBOX_TIMEOUT,
        SANDBOX_MEMORY,
        MODELS_DIR,
        MODELS_CHAT,
        MODELS_CODE,
        ENGINE_URL,
        ENGINE_TIMEOUT,
        ENGINE_CONTEXT,
        ENGINE_THREADS,
        ENGINE_GPU_LAYERS,
        ENGINE_KV_TYPE,
        ENGINE_FLASH_ATTENTION,
        ENGINE_PARKED,
        SESSIONS_KEEP,
        RAG_MODEL,
        RAG_RERANKER,
        RAG_QDRANT_URL,
        NOTIFY_ENABLED,
        NOTIFY_TERMINAL,
        NOTIFY_LANGUAGE,
        NOTIFY_BATCH,
        NOTIFY_QUIET_HOURS,
        NOTIFY_ESCALATE_AFTER,
        NOTIFY_ESCALATE_TO,
        NOTIFY_SMTP_HOST,
        NOTIFY_SMTP_PORT,
        NOTIFY_SMTP_SECURITY,
        NOTIFY_SMTP_USERNAME,
        NOTIFY_SMTP_FROM,
        NOTIFY_SMTP_TO,
        NOTIFY_SLACK_ENABLED,
        NOTIFY_SLACK_CHANNEL,
        NOTIFY_WEBHOOK_URL,
        NOTIFY_APPRISE_ENABLED,
        METRICS_PORT,
        SERVER_PORT,
        SERVER_KEEP_ALIVE,
        LOG_LEVEL,
        LOG_FILE,
    )
}


class Settings:
    """The settings of one home; values are looked up and checked when they are asked for."""

    def __init__(
        self,
        config_file: Path,
        *,
        flags: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.config_file = config_file
        self._flags = dict(flags or {})
        self._environment = os.environ if environment is None else environment

    def __getitem__(self, key: Key[T]) -> T:
        """The value; Invalid names the source that holds a wrong one."""
        text, source = self._find(key)
        try:
            return key.parse(text)
        except Invalid as error:
            message = f"{key.name} from {source}: {error.message}"
            raise Invalid(message, hint=f"ai config set {key.name} VALUE") from error

    def show(self, name: str) -> Setting:
        """One setting by its name; NotFound lists the nearest names."""
        key = named(name)
        text, source = self._find(key)
        return Setting(key.name, text, source, key.help)

    def all(self) -> list[Setting]:
        """Every setting, in the order of the documentation."""
        return [self.show(name) for name in KEYS]

    def check(self) -> list[Problem]:
        """What is unknown or wrong in the environment, config.toml and the flags."""
        return [*self._unknown(), *self._wrong()]

    @cached_property
    def _file(self) -> dict[str, str]:
        try:
            document = tomllib.loads(self.config_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError) as error:
            message = f"{self.config_file} cannot be read"
            raise Invalid(message, hint="mend it by hand, or: ai config sample") from error
        return dict(_flatten(document))

    def _find(self, key: Key[Any]) -> tuple[str, str]:
        if key.name in self._flags:
            return self._flags[key.name], "flag"
        if key.variable in self._environment:
            return self._environment[key.variable], key.variable
        if key.name in self._file:
            return self._file[key.name], str(self.config_file)
        if key.by_profile and (profile := self[PROFILE]) in key.by_profile:
            return key.by_profile[profile], f"profile {profile}"
        return key.default, "default"

    def _unknown(self) -> Iterator[Problem]:
        known = {key.variable for key in KEYS.values()} | OTHER_VARIABLES
        for variable in sorted(self._environment):
            is_ours = variable.startswith(PREFIX) and not variable.startswith(SECRET_PREFIX)
            if is_ours and variable not in known:
                yield Problem(variable, f"no such variable{_nearest(variable, known)}")
        for name in sorted({*self._file, *self._flags} - KEYS.keys()):
            where = str(self.config_file) if name in self._file else "flag"
            yield Problem(f"{where}: {name}", f"no such setting{_nearest(name, KEYS)}")

    def _wrong(self) -> Iterator[Problem]:
        for key in KEYS.values():
            try:
                text, source = self._find(key)
            except Invalid:  # of a wrong profile, which has a problem of its own
                continue
            try:
                key.parse(text)
            except Invalid as error:
                yield Problem(f"{source}: {key.name}", error.message)


def named(name: str) -> Key[Any]:
    """The key of that name; NotFound lists the nearest names."""
    if name not in KEYS:
        message = f"no setting {name!r}{_nearest(name, KEYS)}"
        raise NotFound(message, hint="ai config show")
    return KEYS[name]


def _flatten(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            yield prefix + name, text


def _nearest(name: str, known: object) -> str:
    import difflib  # noqa: PLC0415 - only a typing error needs it

    names = difflib.get_close_matches(name, list(known), n=1)  # type: ignore[call-overload]
    return f"; did you mean {names[0]}?" if names else ""
