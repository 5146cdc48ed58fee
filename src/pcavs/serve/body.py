"""Bodies of requests: models that answer an unknown name with the most similar known one."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from pcavs.animate.settings import QUOTED_CHARACTERS
from pcavs.errors import unknown_setting


class Body(BaseModel):
    """A part of a request's body, which refuses unknown names in one line."""

    model_config = ConfigDict(extra="forbid")

    listed_in: ClassVar[str] = "/openapi.json"
    """Where all names are listed; the line says it."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_names(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name in data:
                if name not in cls.model_fields:
                    line = unknown_setting(str(name)[:QUOTED_CHARACTERS], cls.model_fields)
                    raise PydanticCustomError("unknown_setting", "{line}", {"line": f"{line}; see {cls.listed_in}"})
        return data
