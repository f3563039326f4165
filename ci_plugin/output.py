"""What every command prints with: data to standard output, everything else to standard error.

A command raises; :class:`CommandGroup` turns that into words and an exit code in one place:

    ==================  ==================================================  =====================
    raised              standard error                                      exit code
    ==================  ==================================================  =====================
    CnafError           ``error:`` and the message, its hint on a line      the error's own
    KeyboardInterrupt   nothing                                             130
    BrokenPipeError     nothing: who read the output has seen enough        141
    ==================  ==================================================  =====================

With ``--json``, too, errors are words on standard error: standard output holds data or nothing,
and the exit code is what a script decides by.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson
import typer
from cnaf.models.errors import CnafError
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

__all__ = ["CommandGroup", "err", "exit_on_error", "out", "plain", "print_json_line"]

# Exit codes of a shell for a program that SIGINT or SIGPIPE ended.
_INTERRUPTED: Final = 130
_BROKEN_PIPE: Final = 141
#: What JSON may hold as it is and a terminal must not see: DEL, C1 controls, bidi marks.
_NOT_ASCII = re.compile(r"[^\x00-~]")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to exit_on_error, as for what is not printed by rich."""
        raise BrokenPipeError


#: For data.
out: Final = _Console()
#: For progress, questions, hints and errors.
err: Final = _Console(stderr=True)


class CommandGroup(TyperGroup):
    """The group of all commands: ``typer.Typer(cls=CommandGroup)``."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and end as the table above says."""
        with exit_on_error():
            return super().invoke(ctx)


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn what a command raises into words on standard error and ``typer.Exit``."""
    try:
        yield
    except CnafError as error:
        err.print(Text.assemble(("error: ", "bold red"), plain(error.message)), soft_wrap=True)
        if error.hint:
            err.print(Text.assemble(("hint: ", "bold"), plain(error.hint)), soft_wrap=True)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    except BrokenPipeError:
        # Python flushes standard output once more at its end, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_BROKEN_PIPE) from None


def plain(value: object, style: str = "") -> Text:
    """Return the value as text: no markup, and no control or bidi character reaches a terminal.

    >>> plain("[red]a\\x1b[2J").plain
    '[red]a\\\\x1b[2J'
    """
    shown = str(value)
    return Text(
        "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown),
        style,
    )


def print_json_line(value: object) -> None:
    """Print one JSON document on one line of ASCII, at once; what is not finite is null."""
    text = orjson.dumps(value).decode()
    print(_NOT_ASCII.sub(lambda char: json.dumps(char[0])[1:-1], text), flush=True)
