"""Defines the base of all settings, and the bounds that they share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class Settings(BaseModel):
    """Base of every settings model: frozen, and a misspelled name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def require_divisor(name: str, value: int, whole_name: str, whole: int) -> None:
    """Raises `ValueError`, which lists the allowed values, where `value` does not divide `whole`."""
    if whole % value:
        allowed = ", ".join(str(number) for number in range(1, whole + 1) if whole % number == 0)
        raise ValueError(f"{name} {value} does not divide {whole_name} {whole}; allowed: {allowed}")
