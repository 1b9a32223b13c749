"""What the page says first."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """One sentence of the answer, what it is about, and the id of the section of the page where its evidence stands."""

    about: str
    sentence: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.about}: {self.sentence}"
