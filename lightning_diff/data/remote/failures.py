"""Why a shard cannot be fetched. No message repeats an address that a server gave, because it may hold a signature."""

from __future__ import annotations


class Failed(Exception):
    """It cannot be fetched. The message says why and what to do."""


class Gone(Failed):
    """There is no such shard."""


class Changed(Failed):
    """It is another shard than when the set was listed."""

    def __init__(self) -> None:
        super().__init__("it has changed since the set was listed; give the command again, and the set is read anew")


class Passing(Failed):
    """Another try may succeed. `after`: seconds that the server asks to wait."""

    def __init__(self, said: str, after: float = 0.0) -> None:
        super().__init__(said)
        self.after = after


class Offline(Passing):
    """The host cannot be reached."""
