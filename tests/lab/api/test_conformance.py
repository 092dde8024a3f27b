"""The replayer itself, on a flow of our own: it sees every change, and nothing hangs on a name."""

from __future__ import annotations

import copy
import functools
import json
import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from bootstrap.cli import cli
from bootstrap.errors import LabError
from bootstrap.lab.conformance.comparison import compare
from bootstrap.lab.conformance.recording import Recording, find
from bootstrap.lab.conformance.report import play

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bootstrap.lab.conformance.wire import Answer

FLOWS = Path(__file__).parent / "flows"
SAMPLE = FLOWS / "sample.pve9.2.json"
# what no two runs share: no change there is seen
FREE = {"pid", "pstart", "starttime", "digest", "vmgenid", "at_s"}
TASK = ("end", "log")
FREE_TEXTS = ("UPID:", "uuid=", "creation-qemu=")


@pytest.fixture(scope="module")
def sample() -> Recording:
    return Recording.load(SAMPLE)


@pytest.fixture(scope="module")
def answers(sample: Recording) -> list[list[Answer]]:
    """What a lab answered to the sample, once for all."""
    return play(sample).answers


def told(recording: Recording, answers: list[list[Answer]]) -> list[str]:
    return [
        f"{one.number} {one.request}: {' '.join(one.differences)}"
        for one in compare(recording, answers)
        if one.served and one.differences
    ]


def test_the_lab_answers_the_sample_as_written(sample: Recording, answers: list[list[Answer]]) -> None:
    outcomes = compare(sample, answers)
    assert not told(sample, answers)
    assert [one.request for one in outcomes if not one.served] == ["GET /cluster/replication"]


def places(value: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value inside, apart from those that no two runs share."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    free = isinstance(value, dict) and value.get("key") in FREE
    for key, part in parts:
        shared = not (key in FREE or (free and key == "value"))
        if shared and not (isinstance(part, str) and part.startswith(FREE_TEXTS)):
            yield (*keys, key)
            yield from places(part, (*keys, key))


def flat(exchange: dict[str, Any]) -> dict[str, Any]:
    """All that a recorded exchange says of its answer."""
    task = exchange.get("task")
    ended = {"end": task["polls"][-1], "log": task["log"]} if task else {}
    return copy.deepcopy({**exchange["response"], **ended})


def rebuilt(exchange: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """The exchange with another answer."""
    task = exchange.get("task")
    if task:
        task = {**task, "polls": [*task["polls"][:-1], said["end"]], "log": said["log"]}
    response = {key: said[key] for key in ("status", "reason", "body")}
    return {**exchange, "response": response} | ({"task": task} if task else {})


def change(holder: Any, key: Any) -> None:
    value = holder[key]
    holder[key] = f"{value}x" if isinstance(value, str) else value + 1 if isinstance(value, int) else "x"


def leave_out(holder: Any, key: Any) -> None:
    del holder[key]


def add(holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder["more"] = 1
    else:
        holder.insert(key, copy.deepcopy(holder[key]))


@pytest.mark.parametrize(("mutate", "depth"), [(change, 1), (leave_out, 2), (add, 2)])
def test_every_single_change_of_a_recorded_answer_is_seen(
    sample: Recording, answers: list[list[Answer]], mutate: Callable[[Any, Any], None], depth: int
) -> None:
    tried = 0
    for number, step in enumerate(sample.steps[:-1]):
        group = step.get("parallel", [step])
        for which, exchange in enumerate(group):
            for place in (one for one in places(flat(exchange)) if len(one) >= depth + (one[0] in TASK)):
                said = flat(exchange)
                mutate(functools.reduce(operator.getitem, place[:-1], said), place[-1])
                others = [rebuilt(one, said) if n == which else one for n, one in enumerate(group)]
                mutant = {**step, "parallel": others} if "parallel" in step else others[0]
                steps = [mutant if n == number else one for n, one in enumerate(sample.steps)]
                changed = Recording({"start": sample.start, "seed": sample.seed, "steps": steps})
                assert len(told(changed, answers)) >= 1, (number, place)
                tried += 1
    assert tried > 60


def test_a_changed_recording_is_seen_by_a_replay_too(sample: Recording) -> None:
    steps = copy.deepcopy(sample.steps)
    steps[3]["response"]["body"]["data"]["scsi0"] = "tank:700/vm-700-disk-0.raw,size=2G"
    changed = Recording({"start": sample.start, "seed": sample.seed, "steps": steps})
    assert len(told(changed, play(changed).answers)) == 1


def test_answers_to_requests_sent_at_once_are_a_bag(sample: Recording, answers: list[list[Answer]]) -> None:
    assert not told(sample, [[*reversed(own)] for own in answers])


def test_no_answer_hangs_on_a_name(renamed: Callable[[Any, dict[str, str]], Any]) -> None:
    names = {"700": "4711", "701": "640", "hv1": "pve3", "tank": "fast"}
    values = renamed(json.loads(SAMPLE.read_text()), names)
    assert "fast:4711/vm-4711-disk-0.raw" in json.dumps(values)
    assert not told(Recording(values), play(Recording(values)).answers)


def test_a_seed_that_the_lab_refuses_is_told(sample: Recording) -> None:
    seed = [*sample.seed, {**sample.seed[0]}]
    played = play(Recording({"start": sample.start, "seed": seed, "steps": []}))
    assert played.seed_faults == [
        "POST /access/users: the seed was answered 500 create user failed: user 'ops@pve' already exists"
    ]


def test_the_verb_prints_the_figures_last_and_ends_well() -> None:
    result = CliRunner().invoke(cli, ["lab", "conformance", str(FLOWS)])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "sample.pve9.2.json: served 11, matched 11, total 12",
        "served 11, matched 11, total 12",
    ]


def test_the_verb_gives_data_and_fails_when_too_little_matches(tmp_path: Path) -> None:
    values = json.loads(SAMPLE.read_text())
    values["steps"][0]["response"]["body"]["data"]["release"] = "9.9"
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "wrong.json").write_text(json.dumps(values))
    (tmp_path / "other.json").write_text("[]")
    result = CliRunner().invoke(cli, ["lab", "conformance", "--json", str(tmp_path)])
    assert result.exit_code == 1
    (file,) = json.loads(result.output)["files"]
    assert (file["file"], file["served"], file["matched"], file["total"]) == ("wrong.json", 11, 10, 12)
    assert [one["number"] for one in file["differences"]] == [0]


def test_without_recordings_the_verb_says_how_to_name_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RZP_PVE_RECORDINGS", raising=False)
    result = CliRunner().invoke(cli, ["lab", "conformance"])
    assert isinstance(result.exception, LabError)
    assert str(result.exception) == "no recordings: name their folder, or set RZP_PVE_RECORDINGS to it"


def test_a_folder_without_flows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no recorded flows there"):
        find([tmp_path])
