"""The ``cnaf`` command: options in, text out; what it does is in the layers below."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer
from cnaf.ci_plugin import models_command, prior_command, rules_command
from cnaf.ci_plugin.alerts_command import alerts
from cnaf.ci_plugin.calibrate_command import calibrate_model
from cnaf.ci_plugin.enforce_command import enforce
from cnaf.ci_plugin.evaluate_command import evaluate_detectors
from cnaf.ci_plugin.inspect_command import inspect_corpus
from cnaf.ci_plugin.learn_command import learn_image
from cnaf.ci_plugin.output import CommandGroup, out

__all__ = ["app"]

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("learn")(learn_image)
app.command("inspect")(inspect_corpus)
app.command("calibrate")(calibrate_model)
app.command("enforce")(enforce)
app.command("alerts")(alerts)
app.command("evaluate")(evaluate_detectors)
app.add_typer(models_command.app, name="models")
app.add_typer(prior_command.app, name="prior")
app.add_typer(rules_command.app, name="rules")


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"cnaf {metadata.version('cnaf')}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Learn each container image in CI, enforce what was learned on every node."""
