"""What can go wrong in deciding, each with one line for the user: what, where, what to do.

JournalError
├── JournalLocked       another process holds it
├── JournalCorrupt      it is not a journal, or it is damaged
├── JournalUnwritable   no right, no room, no such place
├── JournalTooNew       written by a newer version
├── UnknownDecision     no decision has that id
├── AmbiguousId         several have
└── WrongState          the decision is not in a state from which this may follow
"""

from __future__ import annotations


class JournalError(Exception):
    """The journal did not do what it was asked, and nothing in it was lost."""


class JournalLocked(JournalError):
    pass


class JournalCorrupt(JournalError):
    pass


class JournalUnwritable(JournalError):
    pass


class JournalTooNew(JournalError):
    pass


class UnknownDecision(JournalError):
    pass


class AmbiguousId(JournalError):
    pass


class WrongState(JournalError):
    pass
