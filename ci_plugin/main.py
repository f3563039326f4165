"""The ``cnaf`` command: options in, text out; what it does is in the layers below."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated

import typer
from cnaf.ci_plugin import models_command
from cnaf.ci_plugin.alerts_command import alerts
from cnaf.ci_plugin.enforce_command import enforce
from cnaf.ci_plugin.inspect_command import inspect_corpus
from cnaf.ci_plugin.learn_command import learn_image

__all__ = ["app", "main"]

app = typer.Typer(
    help="Learn each container image in CI, enforce what was learned on every node.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("learn")(learn_image)
app.command("inspect")(inspect_corpus)
app.command("enforce")(enforce)
app.command("alerts")(alerts)
app.add_typer(models_command.app, name="models")
