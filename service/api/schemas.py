"""What all answers have in common. Names, types and units are a promise: later versions only add."""

from pydantic import BaseModel, ConfigDict, Field

NEXT = Field(None, description="Pass it as `next` to get the following page; null: this is the last one. Opaque.")


class Model(BaseModel):
    """The base of every answer."""

    model_config = ConfigDict(frozen=True)
