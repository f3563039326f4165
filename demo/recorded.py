"""``make demo``: learn from recorded WordPress sessions, then protect an origin with the model.

A fifth of the sessions is held out before anything is learned. What is sent through the protected
proxy is those sessions and the recorded attacks; every figure that is printed comes from them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from cnaf.ci_plugin.progress import progress_bars
from cnaf.datasets.corpus import open_corpus
from cnaf.datasets.jsonl import write_jsonl
from cnaf.datasets.split import split_sessions
from cnaf.enforcer.spool import read_alerts
from cnaf.models.exchange import Exchange, Label
from cnaf.models.verdict import Action
from rich.rule import Rule
from traffic import (
    Outcome,
    cnaf,
    console,
    enforcing,
    free_port,
    latencies,
    send_all,
    show_outcomes,
    wait_for_port,
)

_CORPUS = Path(__file__).parents[1] / "datasets" / "wordpress"
_HELD_OUT = 0.2
_IMAGE = "wordpress:6.1"
_EXPLAINED = 3
_TIMED = 300


def main() -> None:
    """Run the demo; exits with the code of the first command that fails."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cnaf-demo-") as name, ExitStack() as stack:
        folder = Path(name)
        registry, spool, report = (str(folder / n) for n in ("registry", "alerts", "report"))
        console.print(Rule("1. Learn the image from recorded browser sessions"))
        split = split_sessions(open_corpus([_CORPUS / "har"]), _HELD_OUT)
        train = folder / "train.jsonl"
        write_jsonl(train, split.train)
        console.print(
            f"{len(split.train):,} requests to learn from; {len(split.held_out):,} of other "
            "sessions are held out."
        )
        cnaf("learn", _IMAGE, "--recorded", "--corpus", str(train), "--registry", registry,
             "--report", report)  # fmt: skip
        cnaf("models", "ls", "--registry", registry)

        console.print(Rule("2. Put the data plane in front of an origin"))
        origin, proxy = free_port(), free_port()
        process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("origin.py")),
                                    str(origin)])  # fmt: skip
        stack.callback(process.wait)
        stack.callback(process.terminate)
        wait_for_port(origin)
        stack.enter_context(
            enforcing("--listen", f"127.0.0.1:{proxy}", "--origin", f"127.0.0.1:{origin}",
                      "--image", _IMAGE, "--action", "block", "--registry", registry,
                      "--spool", spool)
        )  # fmt: skip

        console.print(Rule("3. Held-out sessions and attacks, through a real HTTP client"))
        attacks = list(open_corpus([_CORPUS / "attacks.jsonl"]))
        benign = [e for e in split.held_out if e.label is Label.BENIGN]
        good, alerted_good = _send("Benign sessions", proxy, benign, spool)
        bad, alerted_bad = _send("Attacks", proxy, attacks, spool)
        show_outcomes((("benign, held out", good, alerted_good), ("attacks", bad, alerted_bad)))
        base, base99, through, through99 = latencies(origin, proxy, benign[:_TIMED])
        console.print(
            f"Latency added: {through - base:.2f} ms at the median ({base:.2f} direct, "
            f"{through:.2f} protected), {through99 - base99:.2f} ms at the 99th percentile, on one "
            "keep-alive connection."
        )

        console.print(Rule("4. Three of the blocks, explained"))
        for event, _ in _telling(bad):
            cnaf("alerts", event, "--spool", spool)
    console.print(f"\nDone in {time.monotonic() - started:.0f} s.")


def _send(name: str, port: int, exchanges: list[Exchange], spool: str) -> tuple[Outcome, int]:
    before = _alerted(spool)
    with progress_bars(console) as report:
        outcome = send_all(port, exchanges, lambda done: report(name, done, len(exchanges)))
    return outcome, _alerted(spool) - before


def _alerted(spool: str) -> int:
    return sum(alert.action is Action.ALERT for alert in read_alerts(Path(spool)))


def _telling(outcome: Outcome) -> list[tuple[str, Exchange]]:
    """Return blocks of different attack classes."""
    classes: dict[object, tuple[str, Exchange]] = {}
    for event, exchange in outcome.events:
        classes.setdefault(exchange.meta.get("class"), (event, exchange))
    return list(classes.values())[:_EXPLAINED]


if __name__ == "__main__":
    main()
