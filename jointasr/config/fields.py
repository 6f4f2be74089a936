"""Value types shared by the conf schemas, and the base class of a group of keys."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Pair = TypeVar("Pair", tuple[int, int], tuple[float, float])


def _check_ascending(pair: Pair) -> Pair:
    if pair[0] > pair[1]:
        raise ValueError("the first must not be greater than the second")
    return pair


Ascending = AfterValidator(_check_ascending)
"""annotation of pairs (minimum, maximum)"""


class Section(BaseModel):
    """A group of keys. Unknown keys are an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
