"""Defines what all attentions have: settings, cost, and how the cost is claimed to grow. No Keras."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from models.cost import Cost, Part, Phase
from models.settings import Settings, Value

Role = Literal["rival", "base", "control"]


@dataclass(frozen=True)
class Grows:
    """How time and peak memory of a step are claimed to grow with the patches; "quadratic" alone is no upper bound."""

    time: Literal["linear", "N log N", "quadratic"]
    memory: Literal["linear", "N log N", "quadratic"]


class Attention(Settings):
    """Base of the attentions, which mix the patches of `(batch, patches, dim)`; `docs/adding-an-attention.md` adds one.

    `models/attentions/KIND.py` holds the attention of that kind, `models/layers/KIND.py` its Keras layer, a class of
    the same name. Each defines the `parts` of its cost, how it `grows` (None: nothing is claimed), and its `role`: the
    report says above which size the step of a "rival" is faster than that of each "base". A class that lacks one of
    these raises `TypeError` when it is defined.
    """

    kind: str
    grows: ClassVar[Grows | None]
    role: ClassVar[Role]
    needs_fused_kernel: ClassVar[bool] = False
    """Whether its claims need a kernel that not every backend has."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name in ("parts", "grows", "role"):
            if name not in vars(cls) and name not in cls.model_fields:
                raise TypeError(f"the attention {cls.__name__} ({cls.__module__}) does not say its {name}")

    @property
    def compared(self) -> dict[str, Value]:
        """The settings in which two attentions of a kind can differ, by name."""
        return dict(self)

    @property
    def tells_cost(self) -> bool:
        """Whether `parts` are known."""
        return True

    def under(self, settings: Mapping[str, Any]) -> Self:
        """Returns the attention with those of the settings that it has. Raises `pydantic.ValidationError`."""
        return type(self).model_validate(self.model_dump() | {k: v for k, v in settings.items() if k in self.compared})

    @abstractmethod
    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        """Returns the cost of one such attention on `(patches, dim)`, part by part."""

    def cost(self, dim: int, patches: int) -> Cost:
        """Returns the cost of one such attention on `(patches, dim)`."""
        return Cost(tuple(self.parts(dim, patches)))

    def held(self, fused_kernel: bool, phase: Phase) -> "Attention":
        """Returns the attention whose activations are in memory, with the fused kernel or without: itself."""
        return self

    def require_width(self, dim: int) -> None:
        """Raises `ValueError` where the attention cannot be built on `dim` features; the base accepts any."""
