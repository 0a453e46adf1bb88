"""With a team or alone: whichever is faster at the moment.

Waking a team and meeting cost microseconds where processors are free, and milliseconds where others use them. So a
stretch of steps goes with the team as long as it takes no longer than this thread alone would; once it has taken more,
steps go alone until what was lost is a small share of them. Which way a step goes changes no bit of it.
"""

from __future__ import annotations

import math

TRIAL = 8  # steps by which the time alone is known
STRETCH = 64  # steps with the team, after which their time is looked at if it was not too long before
STRETCHES = 64  # after which the time alone is measured again
REST = 256  # steps alone, at least, after the team has lost
SHARE = 0.05  # of the time alone that a loss may be


class Pace:
    """Which way the next step goes.

    pace = Pace()
    if pace.rest: ...                   # alone, and the time does not matter; count `rest` down
    pace.together                       # True: with the team
    changed = pace.took(0.0002)         # seconds that the step took; True if the next goes another way
    """

    def __init__(self) -> None:
        self.together, self.rest, self.stretches = False, 0, 0
        self.alone = self.team = 0.0  # seconds of a step; 0: not known
        self._begin(False, TRIAL, math.inf)

    def _begin(self, together: bool, steps: int, most: float) -> None:
        self.together, self.steps, self.left, self.spent, self.most = together, steps, steps, 0.0, most

    def took(self, seconds: float) -> bool:
        self.spent += seconds
        self.left -= 1
        return (self.spent > self.most or not self.left) and self._decide()

    def _decide(self) -> bool:
        before, steps = self.together, self.steps - self.left
        if not before:
            self.alone, self.stretches = self.spent / steps, 0
            self._begin(True, STRETCH, STRETCH * self.alone)
            return True
        self.team, lost = self.spent / steps, self.spent - steps * self.alone
        self.stretches += 1
        if self.spent > self.most:
            self.rest = max(REST, int(lost / (SHARE * self.alone)))
        if self.spent > self.most or self.stretches == STRETCHES:
            self._begin(False, TRIAL, math.inf)
        else:
            self._begin(True, STRETCH, STRETCH * self.alone)
        return not self.together

    def why(self, threads: int) -> str:
        """What `describe` says of the way that is taken: "1 thread (92 us a step with 1, 210 us a step with 2)"."""
        known = [(1, self.alone), (threads, self.team)]
        told = [f"{seconds * 1e6:.0f} us a step with {count}" for count, seconds in known if seconds]
        now = threads if self.together else 1
        return f"{now} thread{'s' * (now > 1)} ({', '.join(told) or 'for a trial'})"
