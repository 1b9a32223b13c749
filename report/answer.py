"""What the page says first."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """One sentence of the answer, and the id of the section of the page where its evidence stands."""

    sentence: str
    evidence: str
