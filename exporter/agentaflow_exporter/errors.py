"""Errors that a user can mend: their text is one line saying what, where, and what to do.

UserError          the work cannot be done (exit code 1)
└── SettingsError  it was asked for in a wrong way (exit code 2)
"""

from __future__ import annotations


class UserError(Exception):
    exit_code = 1


class SettingsError(UserError):
    exit_code = 2
