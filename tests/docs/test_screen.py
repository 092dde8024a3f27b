"""What a terminal shows in the end, and what the recording takes of it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.docs.recording import DRAWN, RECORDED, differences, draw, shown
from tests.docs.screen import Screen, plain

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        ("one\r\ntwo\r\n", ["one", "two", ""]),
        ("  0%\r100%\r\n", ["100%", ""]),
        ("waits\r\x1b[2Kdone\r\n", ["done", ""]),
        ("long line\rnew\x1b[K\r\n", ["new", ""]),
        ("a: 1\r\nb: 1\r\n\x1b[2A\x1b[2Ka: 2\r\n\x1b[2Kb: 2\r\n", ["a: 2", "b: 2", ""]),
        ("a\r\nb\r\nc\x1b[1A\r\x1b[J", ["a", ""]),
        ("\x1b[?25lhidden cursor\x1b[?25h", ["hidden cursor"]),
        ("\x1b[1mbold\x1b[0m", ["bold"]),
    ],
)
def test_a_line_that_was_written_over_counts_as_it_stands_at_last(written: str, lines: list[str]) -> None:
    assert [plain(line) for line in Screen(written).lines] == lines


def test_colours_stay_with_their_letters() -> None:
    assert Screen("a\x1b[1m\x1b[31mb\x1b[0mc").lines == ["a\x1b[1m\x1b[31mb\x1b[0mc"]


def test_what_the_recording_leaves_out_is_seen_as_left_out() -> None:
    demo = [
        "lab starts",
        "── Stage 1: machines  [2 s]",
        "$ rzp-bootstrap demo -y",
        "noise",
        "noise",
        "wrote x",
        "── done  [3 s]",
    ]

    assert shown(demo) == [demo[1], demo[2], "…", "wrote x"]


def test_a_recorded_line_is_compared_but_for_its_numbers() -> None:
    recorded = "── Stage 2  [12 s]\n…\nArgo CD v3.5.1\n23 steps, no change on any host\n"

    assert (
        differences(
            recorded, ["── Stage 2  [9 s]", "Argo CD v3.5.1-standin", "24 steps, no change on any host"]
        )
        == []
    )
    assert differences(recorded, ["── Stage 2  [9 s]", "Argo CD v3.5.1"]) == [
        "23 steps, no change on any host"
    ]


def test_the_drawing_asks_no_other_host() -> None:
    drawn = draw(["\x1b[1m$ make demo\x1b[0m"])

    assert drawn.replace("http://www.w3.org/2000/svg", "").count("://") == 0
    assert "demo" in drawn


def test_the_drawing_says_what_the_recorded_text_says() -> None:
    drawn = ET.parse(ROOT / DRAWN).iter("{http://www.w3.org/2000/svg}text")
    words = "".join("".join(text.text or "" for text in drawn).split())

    assert words.removeprefix("makedemo") == "".join((ROOT / RECORDED).read_text().split())
