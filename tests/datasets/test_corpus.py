from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cnaf.datasets.corpus import open_corpus
from cnaf.datasets.files import ReadLimits
from cnaf.datasets.jsonl import write_jsonl
from cnaf.models.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Callable

    Entry = Callable[..., dict[str, object]]
    Line = Callable[..., dict[str, object]]
    Write = Callable[..., Path]


def test_a_folder_is_all_its_traffic_sorted_and_read_anew_on_each_pass(
    entry: Entry, line: Line, write_har: Write, write_lines: Write, tmp_path: Path
) -> None:
    write_har(entry(), entry(), name="b/two.har.gz")
    write_har(entry(), name="a/ONE.HAR")
    write_lines(line(), name="c.jsonl")
    write_lines(line({"id": "2"}), name="d.jsonl.gz")
    (tmp_path / "README.md").write_text("not traffic")
    corpus = open_corpus([tmp_path])
    ids = ["ONE.HAR#0001", "two#0001", "two#0002", "1", "2"]
    assert [e.id for e in corpus] == ids
    assert [e.id for e in corpus] == ids
    assert corpus.facts.exchanges == 5
    assert corpus.problems == ()


def test_a_file_that_is_reached_twice_is_read_once(
    entry: Entry, write_har: Write, tmp_path: Path
) -> None:
    path = write_har(entry())
    (tmp_path / "link.har").symlink_to(path)
    assert len(list(open_corpus([path, tmp_path, path]))) == 1


def test_equal_names_in_two_folders_are_two_sessions(
    entry: Entry, write_har: Write, tmp_path: Path
) -> None:
    for browser in ("chromium", "firefox"):
        write_har(entry(), name=f"{browser}/login.har")
    write_har(entry(), name="firefox/cart.har")
    sessions = {e.session for e in open_corpus([tmp_path])}
    assert sessions == {"chromium/login", "firefox/login", "cart"}
    assert len({e.session for e in open_corpus([tmp_path / "chromium", tmp_path / "firefox"])}) == 3


class TestHash:
    def test_equal_traffic_has_equal_hashes_in_every_format(
        self, entry: Entry, write_har: Write, tmp_path: Path
    ) -> None:
        recorded = entry(method="POST", postData={"text": "a=1"})
        corpus = open_corpus([write_har(recorded, entry(), name="har/visit.har")])
        write_jsonl(tmp_path / "same.jsonl.gz", reversed(list(corpus)))
        same = open_corpus([tmp_path / "same.jsonl.gz"])
        packed = open_corpus([write_har(recorded, entry(), name="packed/visit.har.gz")])
        assert corpus.sha256() == same.sha256() == packed.sha256()
        assert len(corpus.sha256()) == 64

    @pytest.mark.parametrize(
        "change",
        [
            {"url": "http://shop.test/cart?item=2"},
            {"method": "PUT"},
            {"headers": [{"name": "Host", "value": "other.test"}]},
            {"postData": {"text": "x"}},
            {"httpVersion": "h2"},
        ],
    )
    def test_other_traffic_has_another_hash(
        self, change: dict[str, object], entry: Entry, write_har: Write
    ) -> None:
        one = open_corpus([write_har(entry())]).sha256()
        assert open_corpus([write_har(entry(**change))]).sha256() != one

    def test_a_repeated_request_counts(self, entry: Entry, write_har: Write) -> None:
        one = open_corpus([write_har(entry())]).sha256()
        assert open_corpus([write_har(entry(), entry())]).sha256() != one


class TestProblems:
    def test_broken_lines_are_counted_and_named(self, line: Line, write_lines: Write) -> None:
        path = write_lines(line(), b"{", line({"id": "2"}))
        corpus = open_corpus([path])
        assert corpus.facts.exchanges == 2
        assert corpus.facts.broken == 1
        assert str(corpus.problems[0]).startswith(f"{path}, line 2: not JSON")

    def test_problems_shown_are_capped_and_the_count_is_not(
        self, line: Line, write_lines: Write
    ) -> None:
        good = [line({"id": str(i)}) for i in range(150)]
        facts = open_corpus([write_lines(*good, *[b"{"] * 149)]).facts
        assert (facts.broken, len(facts.problems)) == (149, 100)

    def test_a_duplicate_id_is_counted_once_and_not_yielded_twice(
        self, line: Line, write_lines: Write, tmp_path: Path
    ) -> None:
        write_lines(line(), line({"id": "2"}), name="a.jsonl")
        write_lines(line({"id": "2"}), name="b.jsonl")
        corpus = open_corpus([tmp_path])
        assert [e.id for e in corpus] == ["1", "2"]
        assert corpus.facts.broken == 1
        assert "b.jsonl, id 2: an exchange of this id came before" in str(corpus.problems[0])

    def test_a_broken_file_among_good_ones_is_an_error_that_names_it(
        self, entry: Entry, write_har: Write, tmp_path: Path
    ) -> None:
        write_har(entry(), name="a.har")
        (tmp_path / "b.har").write_text("{")
        write_har(entry(), name="c.har")
        with pytest.raises(CorpusError, match=r"b\.har is not JSON"):
            list(open_corpus([tmp_path]))
        corpus = open_corpus([tmp_path], skip_broken_files=True)
        assert [e.session for e in corpus] == ["a", "c"]
        assert "b.har, file: " in str(corpus.problems[0])

    def test_a_mostly_broken_file_is_an_error(self, line: Line, write_lines: Write) -> None:
        with pytest.raises(CorpusError, match="2 of 3 records are broken"):
            list(open_corpus([write_lines(line(), b"{", b"{")]))

    def test_a_pass_that_was_left_early_says_nothing(self, line: Line, write_lines: Write) -> None:
        corpus = open_corpus([write_lines(line(), line({"id": "2"}), b"{")])
        next(iter(corpus))
        assert corpus.facts.exchanges == 2


class TestRefused:
    def test_no_path(self) -> None:
        with pytest.raises(CorpusError, match=r"no corpus given.*\.har, \.har\.gz"):
            open_corpus([])

    def test_a_path_that_does_not_exist(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match="gone cannot be read: No such file or directory"):
            open_corpus([tmp_path / "gone"])

    @pytest.mark.parametrize("name", ["traffic.pcap", "har", "x.har.zip", "x.json"])
    def test_a_file_of_unknown_format(self, name: str, tmp_path: Path) -> None:
        (tmp_path / name).write_text("{}")
        with pytest.raises(CorpusError, match=r"no known traffic format.*expected \.har"):
            open_corpus([tmp_path / name])

    def test_a_folder_without_traffic_names_what_it_holds(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("x")
        with pytest.raises(CorpusError, match=r"no traffic: expected \.har.*it holds notes\.txt"):
            open_corpus([tmp_path])

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match=r"holds no traffic.*it is empty"):
            open_corpus([tmp_path])

    @pytest.mark.parametrize("name", ["empty.jsonl", "empty.jsonl.gz"])
    def test_an_empty_corpus(self, name: str, tmp_path: Path) -> None:
        path = tmp_path / name
        path.write_bytes(gzip.compress(b"") if name.endswith("gz") else b"")
        with pytest.raises(CorpusError, match=r"empty.*hold no exchange \(0 broken, 0 skipped\)"):
            list(open_corpus([path]))

    def test_a_recording_of_failures_only(self, entry: Entry, write_har: Write) -> None:
        failed = entry({"response": {"status": 0}})
        with pytest.raises(CorpusError, match=r"0 broken, 1 skipped.*entry 1: no response"):
            list(open_corpus([write_har(failed)]))

    def test_more_files_than_the_cap(self, entry: Entry, write_har: Write, tmp_path: Path) -> None:
        for number in range(4):
            write_har(entry(), name=f"{number}.har")
        with pytest.raises(CorpusError, match="holds more than 3 files"):
            open_corpus([tmp_path], limits=ReadLimits(files=3))


class TestLinks:
    def test_a_loop_of_folders_ends(self, entry: Entry, write_har: Write, tmp_path: Path) -> None:
        write_har(entry(), name="sub/a.har")
        (tmp_path / "sub" / "loop").symlink_to(tmp_path)
        assert len(open_corpus([tmp_path]).files) == 1

    def test_a_file_that_links_to_itself_is_named(
        self, entry: Entry, write_har: Write, tmp_path: Path
    ) -> None:
        write_har(entry(), name="a.har")
        (tmp_path / "self.har").symlink_to("self.har")
        with pytest.raises(CorpusError, match=r"self\.har cannot be read"):
            list(open_corpus([tmp_path]))

    def test_a_dangling_link_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "gone.jsonl").symlink_to("nowhere")
        with pytest.raises(CorpusError, match=r"gone\.jsonl cannot be read: No such file"):
            list(open_corpus([tmp_path]))

    def test_a_named_pipe_does_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.jsonl")
        with pytest.raises(CorpusError, match=r"pipe\.jsonl is not a regular file"):
            list(open_corpus([tmp_path]))

    def test_a_file_name_of_any_bytes(self, entry: Entry, write_har: Write, tmp_path: Path) -> None:
        path = write_har(entry())
        path.rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.har"))
        (exchange,) = open_corpus([tmp_path])
        assert exchange.session == "\ufffd"
