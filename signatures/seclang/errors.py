"""The error of a rule file: file, line, what is wrong, what is supported."""

from __future__ import annotations

from cnaf.models.errors import InputError

__all__ = ["SecLangError"]


class SecLangError(InputError):
    """A rule file that cannot be used; says where and what, its hint says what is supported."""

    def __init__(self, file: str, line: int, problem: str, *, supported: str = "") -> None:
        hint = f"supported: {supported}" if supported else "correct the rule file"
        super().__init__(f"{file}:{line}: {problem}", hint=hint)
        self.file, self.line, self.problem = file, line, problem
