"""Defines the base of all settings, and the bounds that they share."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

Rate = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Name = Annotated[str, Field(max_length=200, pattern=r"^[^\p{C}\p{Zl}\p{Zp}]*$")]
"""A name of printable letters."""
Value = str | bool | int | float | None
"""A setting's value."""
Chosen = Annotated[
    tuple[tuple[Name, Value], ...],
    BeforeValidator(lambda given: tuple(given.items()) if isinstance(given, Mapping) else given),
    PlainSerializer(dict),
]
"""Settings, name -> value: hashable, and an object in JSON."""


class Settings(BaseModel):
    """Base of every settings model: frozen, and a misspelled name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def require_divisor(name: str, value: int, whole_name: str, whole: int) -> None:
    """Raises `ValueError`, which lists the allowed values, where `value` does not divide `whole`."""
    if whole % value:
        allowed = ", ".join(str(number) for number in range(1, whole + 1) if whole % number == 0)
        raise ValueError(f"{name} {value} does not divide {whole_name} {whole}; allowed: {allowed}")
