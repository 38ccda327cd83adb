"""What is wrong with catalogue documents, all of it at once, each with its cause and its remedy."""

from collections.abc import Sequence
from typing import NamedTuple

from plans.errors import OperationError, Problem


class CatalogueProblem(NamedTuple):
    """One thing that is wrong in a document, and where: ``plans[0].prices[2].tiers[1].up_to``."""

    file: str
    path: str
    code: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}, {self.path}" if self.path else self.file
        return f"{where}: {self.cause} {self.remedy}".rstrip()


class CatalogueInvalid(OperationError):
    """The documents cannot be loaded; ``found`` lists every problem. Nothing was stored."""

    code = "catalogue_invalid"

    def __init__(self, found: Sequence[CatalogueProblem]) -> None:
        self.found = tuple(found)
        super().__init__(
            "\n".join(str(problem) for problem in self.found),
            problems=tuple(
                Problem(problem.code, problem.path, f"{problem.cause} {problem.remedy}".rstrip())
                for problem in self.found
            ),
        )
