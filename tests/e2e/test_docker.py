"""Images profiled on a real engine: WordPress with its database, and images that fail."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from cnaf.dataplane.containers import container_digest, resolve_image_digest
from cnaf.datasets.corpus import Corpus, open_corpus
from cnaf.learner.containers import Launch, running_app
from cnaf.learner.profiler import Profile, ProfileOptions, profile_image
from cnaf.models.errors import ImageError, InputError
from cnaf.models.exchange import Exchange, Label, Request

pytestmark = pytest.mark.docker

HERE = Path(__file__).parent
HAR = HERE.parents[1] / "datasets" / "wordpress" / "har"
COMPOSE = HERE / "compose.yaml"
HELLO = "cnaf-test-hello:latest"
#: One session of each role, those that write first.
SESSIONS = ("0000-author", "0004-admin", "0005-api", "0003-sub", "0007-anon")
GREETING = Exchange("1", "s", Label.BENIGN, Request("GET", b"/", ((b"host", b"hello"),)))


@pytest.fixture(scope="module", autouse=True)
def images() -> None:
    subprocess.run([str(HERE / "images" / "build")], check=True, timeout=900)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    made = docker.from_env()
    yield made
    made.close()


def everything(client: Any) -> dict[str, set[str]]:
    return {
        "containers": {item.id for item in client.containers.list(all=True)},
        "networks": {item.id for item in client.networks.list()},
        "volumes": {item.id for item in client.volumes.list()},
    }


@pytest.fixture(scope="module")
def before(client: Any, images: None) -> dict[str, set[str]]:
    return everything(client)


@pytest.fixture(autouse=True)
def nothing_stays(client: Any, before: dict[str, set[str]]) -> Iterator[None]:
    """Whatever a test does, it leaves no container, network or volume behind."""
    yield
    assert everything(client) == before


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return open_corpus([HAR / f"train-11-{session}.har.gz" for session in SESSIONS])


@pytest.fixture(scope="module")
def wordpress(corpus: Corpus, before: dict[str, set[str]]) -> Profile:
    options = ProfileOptions(compose=COMPOSE, service="wordpress", concurrency=2)
    return profile_image("wordpress:latest", corpus, options)


def test_wordpress_accepts_recorded_sessions(wordpress: Profile, corpus: Corpus) -> None:
    assert wordpress.sent == corpus.facts.exchanges
    assert wordpress.accepted >= 0.95 * wordpress.sent
    assert wordpress.failed == 0
    assert wordpress.carried > 50
    assert wordpress.subject == resolve_image_digest("wordpress:latest")


def test_wordpress_logs_in_saves_and_publishes(wordpress: Profile) -> None:
    """What only works with cookies, nonces and ids of this very installation."""
    done = {
        (exchange.request.method, re.sub(rb"\d+", b"#", exchange.request.target.split(b"?")[0]))
        for exchange in wordpress.exchanges
        if exchange.request.method == "POST"
    }
    assert {
        ("POST", b"/wp-login.php"),
        ("POST", b"/wp-json/wp/v#/posts/#"),
        ("POST", b"/wp-admin/options.php"),
        ("POST", b"/wp-comments-post.php"),
        ("POST", b"/xmlrpc.php"),
    } <= done
    # Apache names itself: these are the app's answers, not those of the recording.
    assert all(
        exchange.response and b"server" in dict(exchange.response.headers)
        for exchange in wordpress.exchanges
    )


def test_an_image_alone(client: Any) -> None:
    with running_app(HELLO, Launch()) as app:
        assert app.address.port == 8080
        assert app.digest == resolve_image_digest(HELLO) == container_digest(app.container.name)
        labels = client.containers.get(app.container.id).labels
        assert f"cnaf-{labels['cnaf.run']}" == app.container.name
    profile = profile_image(HELLO, [GREETING])
    assert (profile.accepted, profile.sent) == (1, 1)


def test_an_interrupt_removes_everything() -> None:
    with pytest.raises(KeyboardInterrupt), running_app(HELLO, Launch()):
        raise KeyboardInterrupt


# A shell starts background jobs, and with them a test run, so that they ignore Ctrl-C.
_HEED_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
_PROGRAM = f"""
from pathlib import Path
from cnaf.datasets.corpus import open_corpus
from cnaf.learner.profiler import ProfileOptions, profile_image
options = ProfileOptions(compose=Path({str(COMPOSE)!r}), service="wordpress")
corpus = open_corpus([Path({str(HAR)!r})])
profile_image("wordpress:latest", corpus, options, lambda *step: print(*step, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", ["starting", "replaying"])
def test_a_program_that_is_told_to_end_removes_everything(
    number: signal.Signals, stage: str, client: Any, before: dict[str, set[str]]
) -> None:
    # Not pytest's own directory: the path of a unix socket has to be short.
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-c", f"{_HEED_CTRL_C}{_PROGRAM}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": folder},
            text=True,
        ) as program,
    ):
        assert program.stdout is not None
        if stage == "replaying":
            assert any(line.startswith("Replaying traffic") for line in program.stdout)
        while program.poll() is None and everything(client) == before:
            time.sleep(0.05)
        program.send_signal(number)
        program.communicate(timeout=60)
        assert program.returncode in (-signal.SIGINT, 128 + signal.SIGTERM)
        # The data plane's directory, in which HAProxy would still hold its sockets.
        assert list(Path(folder).iterdir()) == []


def test_an_image_that_exits_shows_its_last_words() -> None:
    with pytest.raises(ImageError, match="ended with status 3") as error:
        profile_image(HELLO, [GREETING], ProfileOptions(env={"HELLO_MODE": "exit"}))
    assert "cannot open /etc/hello.conf" in error.value.message


@pytest.mark.parametrize("mode", ["silent", "error"])
def test_an_image_that_never_answers(mode: str) -> None:
    options = ProfileOptions(env={"HELLO_MODE": mode}, ready_timeout_s=3)
    with pytest.raises(ImageError, match="does not answer on port 8080 within 3 s") as error:
        profile_image(HELLO, [GREETING], options)
    assert ("waiting for a licence server" in error.value.message) == (mode == "silent")


def test_the_wrong_port() -> None:
    with pytest.raises(ImageError, match="does not answer on port 9 "):
        profile_image(HELLO, [GREETING], ProfileOptions(port=9, ready_timeout_s=1))


def test_an_image_without_a_command() -> None:
    with pytest.raises(ImageError, match="cannot be started"):
        profile_image("cnaf-test-base:latest", [GREETING])


def test_an_image_without_a_port(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services: {web: {image: a, command: [sleep, '60']}}\n")
    with pytest.raises(InputError, match="exposes no TCP port") as error:
        profile_image("cnaf-test-base:latest", [GREETING], ProfileOptions(compose=file))
    assert "--port" in error.value.hint


def test_an_app_that_dies_of_a_request() -> None:
    fatal = Exchange("2", "s", Label.BENIGN, Request("GET", b"/die", ((b"host", b"hello"),)))
    with pytest.raises(ImageError, match="ended with status 9"):
        profile_image(HELLO, [GREETING, fatal], ProfileOptions(answer_timeout_s=2))


def test_an_unknown_image() -> None:
    with pytest.raises(ImageError, match="this engine has no image nobody/has:this") as error:
        profile_image("nobody/has:this", [GREETING])
    assert error.value.hint == "docker pull nobody/has:this, or build it"


def test_an_unknown_container() -> None:
    with pytest.raises(ImageError, match="container nobody cannot be looked up"):
        container_digest("nobody")


def test_an_unknown_service() -> None:
    options = ProfileOptions(compose=COMPOSE, service="web")
    with pytest.raises(InputError, match="has no service web") as error:
        profile_image("wordpress:latest", [GREETING], options)
    assert "mysql, wordpress" in error.value.hint


def test_several_services_and_none_named() -> None:
    with pytest.raises(InputError, match="has several services"):
        profile_image("wordpress:latest", [GREETING], ProfileOptions(compose=COMPOSE))


def test_a_compose_file_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services: [")
    options = ProfileOptions(compose=file, service="web")
    with pytest.raises(InputError, match="Compose refuses"):
        profile_image(HELLO, [GREETING], options)


def test_a_project_that_does_not_start_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(
        f"""\
services:
  web:
    image: other
    depends_on: [cache]
  cache:
    image: {HELLO}
    command: [no-such-program]
"""
    )
    options = ProfileOptions(compose=file, ready_timeout_s=30, service="web")
    with pytest.raises(ImageError, match=r"Compose cannot start .*no-such-program"):
        profile_image(HELLO, [GREETING], options)


def test_the_named_image_runs_in_the_place_of_the_service(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    service = "services: {web: {image: 'a-release:1', volumes: ['data:/data']}}"
    file.write_text(f"{service}\nvolumes: {{data: {{}}}}\n")
    profile = profile_image(HELLO, [GREETING], ProfileOptions(compose=file))
    assert profile.subject == resolve_image_digest(HELLO)
