"""What is sent about documents: texts and paths to index, and questions."""

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from localai.api.bodies import INK, Strict, Whole
from localai.rag.sent import Text

MAX_TEXTS: Final = 500
MAX_PATHS: Final = 100
_EITHER: Final[JsonDict] = {"anyOf": [{"required": ["documents"]}, {"required": ["paths"]}]}

# Checked where collections are named: what a letter is, expressions do not agree on.
Collection = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        description="A collection; index makes one that is not there.",
        json_schema_extra={"pattern": r"^\w[\w.-]{0,63}$"},
    ),
]


class NewDocument(Strict):
    """A text, and what it is called; sent again, it takes the place of what was sent before."""

    source: str = Field(
        pattern=r"^[^\x00-\x1f\x7f]{1,200}$",
        description="Its name; the suffix says how it is cut into passages.",
        examples=["handbook/kettle.md"],
    )
    text: str = Field(max_length=1_000_000, description="All that it says.")


class NewIndex(Strict):
    """What is to be indexed: texts, files of the server's workspace, or both."""

    model_config = ConfigDict(json_schema_extra=_EITHER)

    collection: Collection = "default"
    documents: list[NewDocument] = Field(default=[], min_length=1, max_length=MAX_TEXTS)
    paths: list[Annotated[str, Field(min_length=1, max_length=1024)]] = Field(
        default=[],
        min_length=1,
        max_length=MAX_PATHS,
        description="Files and folders in the folder in which the server was started.",
        examples=[["docs"]],
    )

    @model_validator(mode="after")
    def _has_something(self) -> Self:
        if not (self.documents or self.paths):
            raise ValueError("documents or paths are needed")
        return self

    @property
    def texts(self) -> list[Text]:
        """The documents as they are indexed."""
        return [Text(each.source, each.text) for each in self.documents]


class Question(Strict):
    """What is to be found, and whether a model is to answer from it."""

    question: str = Field(
        min_length=1, max_length=2000, pattern=INK, examples=["How is the kettle descaled?"]
    )
    collection: Collection = "default"
    k: Whole = Field(default=5, ge=1, le=50, description="Passages at most.")
    answer: bool = Field(
        default=True, description="Let the chat model answer from the passages; else null."
    )
