from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import typer
from cnaf.ci_plugin.output import CommandGroup, err, exit_on_error, out, plain, print_json_line
from cnaf.models.errors import AlertError, CnafError, InputError
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

TEXTS = st.text(st.characters(codec="utf-8"))
SCALARS = TEXTS | st.none() | st.booleans()


def run(failure: BaseException) -> Any:
    app = typer.Typer(cls=CommandGroup)

    @app.callback()
    def group() -> None: ...

    @app.command("fail")
    def fail() -> None:
        raise failure

    return CliRunner().invoke(app, ["fail"])


@pytest.mark.parametrize("error", [CnafError("a"), InputError("b", hint="do c"), AlertError("d")])
def test_an_error_is_words_on_stderr_and_its_exit_code(error: CnafError) -> None:
    result = run(error)
    assert (result.exit_code, result.stdout) == (error.exit_code, "")
    lines = [f"error: {error.message}"] + [f"hint: {error.hint}"] * bool(error.hint)
    assert result.stderr.splitlines() == lines


def test_an_error_lets_no_markup_or_escape_through() -> None:
    assert run(InputError("[red]\x1b[2J\u202e")).stderr == "error: [red]\\x1b[2J\\u202e\n"


def test_an_interrupt_is_quiet() -> None:
    result = run(KeyboardInterrupt())
    assert (result.exit_code, result.output) == (130, "")


def test_a_programming_mistake_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), exit_on_error():
        raise ZeroDivisionError


@pytest.mark.parametrize("printing", ["out.print('x' * 99)", "print_json_line({'a': 1})"])
def test_a_closed_pipe_is_quiet(printing: str) -> None:
    script = f"""
import typer
from cnaf.ci_plugin.output import CommandGroup, out, print_json_line
app = typer.Typer(cls=CommandGroup)
@app.callback()
def group(): pass
@app.command("many")
def many():
    while True:
        {printing}
app()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, "many"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141
    process.stderr.close()


@given(st.text())
@settings(deadline=None, max_examples=100)
def test_plain_text_is_printable(text: str) -> None:
    assert plain(text).plain.isprintable()
    assert plain(text).spans == []


@given(st.recursive(SCALARS, lambda v: st.lists(v) | st.dictionaries(TEXTS, v)))
@settings(deadline=None, max_examples=50)
def test_json_is_one_line_of_ascii(value: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda text, **_: lines.append(text))
        print_json_line(value)
    (line,) = lines
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == value


def test_numbers_that_are_not_finite_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_json_line({"a": float("inf"), "b": [float("nan")]})
    assert capsys.readouterr().out == '{"a":null,"b":[null]}\n'


def test_data_and_words_go_apart(capsys: pytest.CaptureFixture[str]) -> None:
    out.print("data")
    err.print("words")
    assert capsys.readouterr() == ("data\n", "words\n")
