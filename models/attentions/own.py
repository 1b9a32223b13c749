"""An attention of a user's own file: what the file has told of it, so that nothing but a worker runs the file."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from models.attentions.attention import Attention, Grows, Role
from models.cost import Part
from models.settings import Chosen, Name, Value


class OwnAttention(Attention):
    """The attention of a `file` that is not part of this project; `models/layers/own.py` runs it.

    `settings` are those that the file defines. `source_sha256` is of the file's bytes: with the settings it says what
    is computed. `source`, the bytes, and `told`, the parts of its cost at the size of the trial that holds it (None
    where the file does not tell them), go with a trial to its worker and are in no record.
    """

    kind: Literal["own"] = "own"
    file: Name
    source_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    settings: Chosen
    grows: Grows | None  # type: ignore[misc]  # of a class elsewhere, and here what the file says
    role: Role  # type: ignore[misc]
    source: bytes = Field(default=b"", exclude=True, repr=False)
    told: tuple[Part, ...] | None = Field(default=None, exclude=True, repr=False)

    @property
    def compared(self) -> dict[str, Value]:
        return {"kind": self.kind, "file": self.source_sha256[:7], **dict(self.settings)}

    @property
    def tells_cost(self) -> bool:
        return self.told is not None

    def under(self, settings: Mapping[str, Any]) -> Self:
        return self.model_copy(update={"settings": tuple((name, settings.get(name, v)) for name, v in self.settings)})

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        yield from self.told or ()
