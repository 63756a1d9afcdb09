"""Runs the migrations on an engine; the only file that imports Alembic's commands."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory


def upgrade(engine: sa.Engine) -> None:
    """Bring the schema to the newest version in one transaction."""
    config = _config()
    with engine.connect() as connection:
        immediate = connection.execution_options(localai_immediate=True)
        with immediate.begin():
            config.attributes["connection"] = immediate
            command.upgrade(config, "head")


def head() -> str:
    """The newest revision, a number with leading zeros."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
