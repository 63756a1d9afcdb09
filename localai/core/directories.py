"""Where files lie: one home, or the places that the platform gives to `localai-suite`."""

import os
from dataclasses import dataclass
from pathlib import Path

APPLICATION = "localai-suite"


@dataclass(frozen=True)
class Directories:
    """Every folder that we write to; `is_own_home` when one directory was named for all."""

    config: Path
    data: Path
    cache: Path
    models: Path
    keys: Path
    logs: Path
    is_own_home: bool

    @property
    def config_file(self) -> Path:
        """The operator's settings."""
        return self.config / "config.toml"

    @property
    def database_file(self) -> Path:
        """The SQLite database."""
        return self.data / "localai.db"

    @property
    def all(self) -> tuple[Path, ...]:
        """Every directory, once."""
        folders = (self.config, self.data, self.cache, self.models, self.keys, self.logs)
        return tuple(dict.fromkeys(folders))


def locate(home: Path | None) -> Directories:
    """The directories under `home`, else under `LOCALAI_HOME`, else the platform's own."""
    named = home or (Path(text) if (text := os.environ.get("LOCALAI_HOME")) else None)
    return _platform() if named is None else _under(named.expanduser().absolute())


def project(folder: Path) -> str:
    """The root of the git repository that the folder is in; empty where it is in none."""
    roots = (place for place in (folder, *folder.parents) if (place / ".git").exists())
    return str(next(roots, ""))


def _under(home: Path) -> Directories:
    return Directories(
        config=home,
        data=home / "data",
        cache=home / "cache",
        models=home / "models",
        keys=home / "keys",
        logs=home / "logs",
        is_own_home=True,
    )


def _platform() -> Directories:
    from platformdirs import PlatformDirs  # noqa: PLC0415 - 20 ms that a named home does not pay

    places = PlatformDirs(APPLICATION, appauthor=False)
    data = places.user_data_path
    return Directories(
        config=places.user_config_path,
        data=data,
        cache=places.user_cache_path,
        models=data / "models",
        keys=places.user_config_path / "keys",
        logs=places.user_log_path,
        is_own_home=False,
    )
