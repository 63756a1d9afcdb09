"""Every setting: who may set it, who wins, and what is wrong."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from localai.core import settings as keys
from localai.core.errors import Invalid, NotFound
from localai.core.settings import KEYS, Key, Settings, named

# For each setting: texts that are right, one for every place that can set it; and a wrong one.
CASES: dict[str, tuple[str, str, str, str]] = {
    "profile": ("dev", "staging", "prod", "production"),
    "security.mode": ("normal", "strict", "normal", "lax"),
    "approvals.enabled": ("true", "off", "Yes", "maybe"),
    "approvals.timeout": ("90s", "5m", "2h", "soon"),
    "approvals.grant": ("90s", "5m", "2h", "0"),
    "approvals.pending": ("1", "5", "9", "0"),
    "rate_limits.enabled": ("true", "off", "Yes", "maybe"),
    "rate_limits.calls": ("60/1m", "5/30", "1/1d", "often"),
    "agent.steps": ("1", "8", "20", "0"),
    "agent.tokens": ("1", "1000", "90000", "many"),
    "sandbox.enabled": ("true", "off", "Yes", "maybe"),
    "sandbox.timeout": ("90s", "5m", "2h", "soon"),
    "sandbox.memory_mb": ("64", "2048", "9000", "1"),
    "engine.context": ("0", "4096", "8192", "8k"),
    "engine.timeout": ("2m", "1s", "3m", "0s"),
    "engine.threads": ("0", "1", "2", "100000"),
    "engine.parked_mb": ("0", "1", "2", "-1"),
    "engine.gpu_layers": ("-1", "0", "33", "-2"),
    "engine.kv_type": ("f16", "q8_0", "q4_0", "q2"),
    "engine.flash_attention": ("true", "off", "Yes", "maybe"),
    "sessions.keep": ("90d", "52w", "1h", "0"),
    "notify.enabled": ("true", "off", "Yes", "maybe"),
    "notify.smtp.port": ("25", "465", "587", "65536"),
    "notify.smtp.security": ("none", "starttls", "tls", "ssl"),
    "notify.slack.enabled": ("true", "off", "Yes", "maybe"),
    "notify.apprise.enabled": ("true", "off", "Yes", "maybe"),
    "notify.terminal": ("true", "off", "Yes", "maybe"),
    "notify.language": ("en", "ko", "en", "fr"),
    "notify.batch": ("0", "1m", "90s", "often"),
    "notify.quiet_hours": ("22:00-07:00", "00:00-06:30", "9:00-17:00", "22-7"),
    "notify.escalate_after": ("2m", "90s", "1h", "0"),
    "metrics.port": ("0", "9464", "65535", "65536"),
    "server.port": ("0", "8020", "65535", "http"),
    "server.keep_alive": ("90s", "5m", "2h", "soon"),
    "log.level": ("debug", "info", "error", "loud"),
}


def _settings(
    folder: Path,
    text: str = "",
    *,
    flags: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    file = folder / "config.toml"
    file.write_text(text, encoding="utf-8")
    return Settings(file, flags=flags, environment=environment or {})


def _toml(name: str, value: str) -> str:
    return "".join(f"{part}." for part in name.split(".")).rstrip(".") + f' = "{value}"\n'


@pytest.mark.parametrize("name", KEYS)
def test_the_flag_wins_over_the_environment_over_the_file_over_the_default(
    name: str, tmp_path: Path
) -> None:
    """One setting after the other; each value is shown with its source."""
    key = KEYS[name]
    one, two, three, _ = CASES.get(name, ("one", "two", "three", ""))
    flags, environment, file = {name: one}, {key.variable: two}, _toml(name, three)
    places = [
        (_settings(tmp_path, file, flags=flags, environment=environment), one, "flag"),
        (_settings(tmp_path, file, environment=environment), two, key.variable),
        (_settings(tmp_path, file), three, str(tmp_path / "config.toml")),
        (Settings(tmp_path / "none.toml", environment={}), key.default, "default"),
    ]
    for settings, text, source in places:
        shown = settings.show(name)
        assert (shown.value, shown.source) == (text, source)
        assert settings[key] == key.parse(text)


def test_the_profile_wins_over_the_default_alone(tmp_path: Path) -> None:
    """A value of the operator's own holds in every profile."""
    prod = _settings(tmp_path, 'profile = "prod"')
    assert prod.show("approvals.timeout").source == "profile prod"
    assert prod[keys.APPROVALS_TIMEOUT] == 1800
    own = _settings(tmp_path, 'profile = "prod"\napprovals.timeout = "1m"')
    assert own[keys.APPROVALS_TIMEOUT] == 60


@pytest.mark.parametrize(
    ("profile", "mode", "level"),
    [("dev", "normal", "info"), ("staging", "normal", "info"), ("prod", "strict", "warning")],
)
def test_prod_is_strict(profile: str, mode: str, level: str, tmp_path: Path) -> None:
    """The profile sets how much is asked and how much is logged."""
    settings = _settings(tmp_path, environment={"LOCALAI_PROFILE": profile})
    assert (settings[keys.SECURITY_MODE], settings[keys.LOG_LEVEL]) == (mode, level)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("place", ["flag", "environment", "file"])
def test_a_wrong_value_is_refused_and_names_its_source(
    name: str, place: str, tmp_path: Path
) -> None:
    """The person who reads the error knows where to mend it."""
    key, wrong = KEYS[name], CASES[name][3]
    sources = {
        "flag": ({"flags": {name: wrong}}, "", "flag"),
        "environment": ({"environment": {key.variable: wrong}}, "", key.variable),
        "file": ({}, _toml(name, wrong), str(tmp_path / "config.toml")),
    }
    given, text, source = sources[place]
    with pytest.raises(Invalid) as caught:
        _settings(tmp_path, text, **given)[key]
    assert caught.value.message.startswith(f"{name} from {source}: ")
    assert caught.value.hint == f"ai config set {name} VALUE"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("TRUE", True),
        ("1", True),
        ("on", True),
        ("false", False),
        ("0", False),
        ("no", False),
        ("Off", False),
    ],
)
def test_yes_and_no_are_read_as_people_write_them(text: str, value: bool, tmp_path: Path) -> None:
    """In any case."""
    settings = _settings(tmp_path, flags={"approvals.enabled": text})
    assert settings[keys.APPROVALS_ENABLED] is value


def test_toml_values_of_their_own_type_are_read(tmp_path: Path) -> None:
    """An operator who writes `false` and `4096` without quotes means the same."""
    text = "[approvals]\nenabled = false\n[engine]\ncontext = 4096\ngpu_layers = -1\n"
    settings = _settings(tmp_path, text)
    assert settings[keys.APPROVALS_ENABLED] is False
    assert settings[keys.ENGINE_CONTEXT] == 4096
    assert settings[keys.ENGINE_GPU_LAYERS] == -1
    assert settings.check() == []


def test_a_path_is_made_absolute_and_an_empty_one_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path counts from where the command runs, `~` from the person's home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    assert _settings(tmp_path)[keys.MODELS_DIR] is None
    assert _settings(tmp_path, flags={"models.dir": "m"})[keys.MODELS_DIR] == tmp_path / "m"
    expanded = _settings(tmp_path, flags={"models.dir": "~/m"})[keys.MODELS_DIR]
    assert expanded == tmp_path / "person" / "m"


def test_a_file_that_is_no_toml_is_refused_and_kept(tmp_path: Path) -> None:
    """The error names the file; nothing falls back to a default."""
    settings = _settings(tmp_path, "profile = \n")
    with pytest.raises(Invalid, match=r"config\.toml cannot be read") as caught:
        settings[keys.PROFILE]
    assert caught.value.causes


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are not guessed at."""
    (tmp_path / "config.toml").write_bytes(b'profile = "\xff"')
    with pytest.raises(Invalid, match="cannot be read"):
        Settings(tmp_path / "config.toml", environment={}).all()


def test_every_setting_is_shown_once_and_explained(tmp_path: Path) -> None:
    """The order is that of the documentation."""
    shown = _settings(tmp_path).all()
    assert [setting.key for setting in shown] == list(KEYS)
    assert all(setting.help for setting in shown)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_every_default_is_a_right_value(key: Key[object]) -> None:
    """Those of the profiles too."""
    for text in (key.default, *key.by_profile.values()):
        key.parse(text)


def test_the_variable_is_the_key_in_capitals() -> None:
    """As the command line's contract has it."""
    assert KEYS["approvals.timeout"].variable == "LOCALAI_APPROVALS_TIMEOUT"


def test_an_unknown_name_is_not_found_and_the_nearest_is_told() -> None:
    """A slip of a letter costs one look."""
    with pytest.raises(NotFound, match=r"did you mean approvals\.timeout\?"):
        named("approvals.timout")
    with pytest.raises(NotFound, match=r"no setting 'xyzzy'$"):
        named("xyzzy")


def test_check_names_what_is_unknown_with_the_nearest_name(tmp_path: Path) -> None:
    """In the environment, the file and the flags."""
    settings = _settings(
        tmp_path,
        "[aprovals]\ntimeout = '5m'\n[log]\nlevel = 'info'\n",
        flags={"log.levle": "info"},
        environment={"LOCALAI_LOG_LEVLE": "info", "OTHER_LOG_LEVLE": "info"},
    )
    told = {problem.where: problem.message for problem in settings.check()}
    assert told == {
        "LOCALAI_LOG_LEVLE": "no such variable; did you mean LOCALAI_LOG_LEVEL?",
        f"{tmp_path / 'config.toml'}: aprovals.timeout": (
            "no such setting; did you mean approvals.timeout?"
        ),
        "flag: log.levle": "no such setting; did you mean log.level?",
    }


def test_check_names_every_wrong_value_with_its_source(tmp_path: Path) -> None:
    """All of them at once, not the first alone."""
    settings = _settings(
        tmp_path,
        "engine.context = 'many'\n",
        flags={"log.level": "loud"},
        environment={"LOCALAI_APPROVALS_TIMEOUT": "soon"},
    )
    assert {problem.where for problem in settings.check()} == {
        f"{tmp_path / 'config.toml'}: engine.context",
        "flag: log.level",
        "LOCALAI_APPROVALS_TIMEOUT: approvals.timeout",
    }


def test_check_tells_a_wrong_profile_and_what_else_is_wrong(tmp_path: Path) -> None:
    """A wrong profile does not hide the other problems."""
    environment = {"LOCALAI_PROFILE": "production", "LOCALAI_ENGINE_CONTEXT": "many"}
    problems = _settings(tmp_path, environment=environment).check()
    assert [problem.where for problem in problems] == [
        "LOCALAI_PROFILE: profile",
        "LOCALAI_ENGINE_CONTEXT: engine.context",
    ]


def test_a_wrong_profile_never_falls_back_to_a_milder_one(tmp_path: Path) -> None:
    """What the profile would decide cannot be read at all."""
    settings = _settings(tmp_path, environment={"LOCALAI_PROFILE": "production"})
    with pytest.raises(Invalid, match="LOCALAI_PROFILE"):
        settings[keys.SECURITY_MODE]


def test_check_leaves_variables_that_are_no_settings_alone(tmp_path: Path) -> None:
    """The home, the passphrase and secrets have readers of their own."""
    environment = {
        "LOCALAI_HOME": "/somewhere",
        "LOCALAI_PASSPHRASE": "words",
        "LOCALAI_SECRET_SMTP_PASSWORD": "hidden",
        "PATH": "/bin",
    }
    assert _settings(tmp_path, environment=environment).check() == []


def test_the_environment_of_the_process_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file and no arguments are needed."""
    monkeypatch.setenv("LOCALAI_LOG_LEVEL", "debug")
    assert Settings(tmp_path / "none.toml")[keys.LOG_LEVEL] == "debug"
