from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.datasets.problems import FileTally, ProblemLog
from cnaf.models.errors import CorpusError

FILE = Path("x.jsonl")


def test_half_broken_is_read_and_more_is_refused() -> None:
    tally = FileTally(FILE, "line", ProblemLog())
    tally.good()
    tally.broken(2, "odd")
    tally.judge()
    tally.broken(3, "odd")
    with pytest.raises(CorpusError, match=r"2 of 3 records are broken; the first is line 2: odd"):
        tally.judge()


def test_skipped_records_do_not_count_as_broken() -> None:
    log = ProblemLog()
    tally = FileTally(FILE, "entry", log)
    for number in range(500):
        tally.skipped(number, "blocked")
    tally.judge()
    assert (log.count, log.skipped, len(log.kept)) == (500, 500, 100)


def test_without_a_log_the_first_broken_record_is_the_error() -> None:
    tally = FileTally(FILE, "line", None)
    tally.skipped(1, "blocked")
    with pytest.raises(CorpusError, match=r"x\.jsonl, line 2: odd \(correct or remove the line\)"):
        tally.broken(2, "odd")
