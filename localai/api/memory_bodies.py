"""What is sent about conversations: one to keep, and what is looked for."""

from typing import Annotated, Final, Literal

from pydantic import Field

from localai.agent.history import Turn
from localai.api.bodies import INK, Strict, Whole

MAX_MESSAGES: Final = 1000


class NewMessage(Strict):
    """What one side said."""

    role: Literal["user", "assistant", "system"]
    content: str = Field(max_length=200_000)


class NewConversation(Strict):
    """What was said elsewhere and is to be kept here."""

    messages: list[NewMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    title: Annotated[str, Field(min_length=1, max_length=200, pattern=INK)] | None = Field(
        default=None, description="The beginning of the first question, where none is given."
    )

    @property
    def turns(self) -> list[Turn]:
        """The messages as they are stored."""
        return [Turn(0, each.role, each.content) for each in self.messages]

    @property
    def name(self) -> str:
        """The title, as given or as it would be if it was held here."""
        asked = (each.content for each in self.messages if each.role == "user")
        return self.title or next(asked, self.messages[0].content)


class Wanted(Strict):
    """What is looked for in one's own conversations."""

    q: str = Field(min_length=1, max_length=1000, pattern=INK, examples=["limescale"])
    meaning: bool = Field(
        default=False, description="What is near in meaning, best first; else what has all words."
    )
    project: str | None = Field(
        default=None, max_length=4096, description="A git repository's; empty outside of any."
    )
    limit: Whole = Field(default=20, ge=1, le=100)
