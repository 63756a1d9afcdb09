"""What the tests of notifications start from: a room of a home that exists."""

import pytest
from conftest import TurnableClock
from notify_home import Room, room

from localai.core.db import Database
from localai.core.directories import Directories


@pytest.fixture
def told(database: Database, home: Directories, clock: TurnableClock) -> Room:
    """A room whose mail is a fake."""
    return room(database, home, clock)
