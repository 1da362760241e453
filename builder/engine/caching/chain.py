"""What a step stands on, as keys and cached results know it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from builder.cache.keys import framed
from builder.digest import Digest
from builder.engine.layers import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The results that a stage consists of.

    A key says what went in. The same RUN with the same input may give something else the next time (a newer package):
    what was made upon the one result must not be put upon the other. So every cached layer says upon which it was made.
    What COPY, ADD and WORKDIR make follows from their keys; what a RUN made is known by its layer.
    """

    start: str
    made: tuple[str | Future[Layer], ...] = ()

    def then(self, made: str | Future[Layer]) -> Results:
        return Results(start=self.start, made=(*self.made, made))

    def value(self) -> str:
        """A text that is the same for the same results. Waits for layers; raises what writing them raised."""
        return framed(
            [
                "results",
                self.start,
                [each if isinstance(each, str) else str(each.result().diff_id) for each in self.made],
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Where a stage has got to.

    Attributes:
        identity: of all inputs so far; None once there was an instruction whose inputs could not be told.
    """

    identity: str | None
    results: Results


def begun(diff_ids: Sequence[Digest]) -> Chain:
    """The chain of a stage FROM an image of these layers; of scratch there are none."""
    identity = framed(["image", [str(each) for each in diff_ids]])
    return Chain(identity=identity, results=Results(start=identity))
