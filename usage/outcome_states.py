"""The life of an outcome; pure.

    pending -> verified | rejected
    verified -> disputed -> upheld | dismissed
    verified, dismissed -> reversed

An outcome is billed while it counts: verified, disputed until that is decided, or its dispute
dismissed. What makes it count, or count no more, is a usage event; nothing else is.
"""

from typing import Final, Literal

State = Literal[
    "pending", "verified", "rejected", "disputed", "upheld", "dismissed", "reversed"
]  # fmt: skip
Action = Literal["verify", "reject", "dispute", "uphold", "dismiss", "reverse"]

MOVES: Final[dict[Action, tuple[frozenset[State], State]]] = {
    "verify": (frozenset({"pending"}), "verified"),
    "reject": (frozenset({"pending"}), "rejected"),
    "dispute": (frozenset({"verified"}), "disputed"),
    "uphold": (frozenset({"disputed"}), "upheld"),
    "dismiss": (frozenset({"disputed"}), "dismissed"),
    "reverse": (frozenset({"verified", "dismissed"}), "reversed"),
}
STATES: Final[tuple[State, ...]] = (
    "pending", "verified", "rejected", "disputed", "upheld", "dismissed", "reversed",
)  # fmt: skip
COUNTING: Final[frozenset[State]] = frozenset({"verified", "disputed", "dismissed"})
SUCCESSES: Final[frozenset[State]] = COUNTING


def counts(state: State) -> bool:
    """Say whether an outcome in this state is billed."""
    return state in COUNTING


def after(state: State, action: Action) -> State | None:
    """Return the state that an action leads to; None where it is not possible."""
    begins, ends = MOVES[action]
    return ends if state in begins else None


def change_of(before: State, *, action: Action) -> int:
    """Return +1 where an action makes an outcome count, -1 where it ends that, and else 0."""
    ends = MOVES[action][1]
    return int(counts(ends)) - int(counts(before))
