"""Dialogues: what the file may hold, and what its people's films are."""

import json
import os
from pathlib import Path

import pytest

from pcavs.animate.dialogue import FORMAT, people_options, read_dialogue
from pcavs.animate.inputs import input_files
from pcavs.animate.options import FilmOptions
from pcavs.errors import InputError

LINE = {"face": "left", "audio": "a.wav"}


@pytest.fixture
def write(tmp_path):
    def write(lines=(LINE,), **fields):
        path = tmp_path / "dialogue.json"
        path.write_text(json.dumps({"format": FORMAT, "lines": list(lines), **fields}))
        return path

    return write


def options(path, **settings):
    return FilmOptions(identity=Path("two.jpg"), dialogue=path, **settings)


def test_files_are_relative_to_the_dialogue_and_times_may_have_minutes(write, tmp_path):
    line = {"face": 1, "audio": "b.wav", "at_s": "1:02.5", "start_s": 1, "end_s": 2.5}
    dialogue = read_dialogue(write([LINE, line]))
    assert dialogue.lines[0].audio == tmp_path / "a.wav"
    assert (dialogue.lines[1].face, dialogue.lines[1].at_s, dialogue.lines[1].end_s) == ("1", 62.5, 2.5)
    assert [person.face for person in dialogue.people] == ["left", "1"]


def test_everybody_moves_naturally_with_a_seed_of_their_own(write):
    path = write([LINE], people=[{"face": "right", "pose": "still", "smile": 0.3}])
    first, second = people_options(options(path, seed=5), read_dialogue(path))
    assert (first.face, first.pose, first.smile, first.seed) == ("right", Path("still"), 0.3, 5)
    assert (second.face, second.pose, second.smile, second.seed) == ("left", Path("natural"), 0, 6)
    assert first.full_frame
    assert first.dialogue is None


def test_settings_of_the_film_are_those_of_people_who_have_none(write):
    path = write(people=[{"face": "left", "performance": "p.mp4"}, {"face": "right"}])
    own, shared = people_options(options(path, pose=Path("lively")), read_dialogue(path))
    assert own.performance is not None
    assert (own.pose, shared.pose) == (Path("lively"), Path("lively"))


def test_files_of_lines_and_people_are_inputs(write, tmp_path):
    path = write(people=[{"face": "left", "mouth": "m.mp4", "eyes": "photo"}])
    (tmp_path / "m.mp4").touch()
    files = [file for _, file in input_files(options(path))]
    assert {path, tmp_path / "a.wav", tmp_path / "m.mp4", Path("two.jpg")} == set(files)
    assert len(files) == 4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "pcavs-pose-1"}, 'is no dialogue; give an object with "format": "pcavs-dialogue-1"'),
        ({"line": []}, "no such setting: line; did you mean lines"),
        ({"lines": []}, "lines must be a list of 1 to 1000 objects"),
        ({"lines": [{"audio": "a.wav"}]}, "line 1 has no face; give left"),
        ({"lines": [{"face": "left"}]}, "line 1 needs a sound or a text; give audio or say, and not both"),
        ({"lines": [{**LINE, "say": "x"}]}, "line 1 needs a sound or a text"),
        ({"lines": [{**LINE, "at": 2}]}, "line 1: no such setting: at; did you mean at_s"),
        ({"lines": [{**LINE, "at_s": -2}]}, "line 1: at_s is -2; give 0 to 21600 seconds"),
        ({"lines": [{**LINE, "at_s": 99_999}]}, "line 1: at_s is 99999; give 0 to 21600 seconds"),
        ({"lines": [{**LINE, "at_s": "soon"}]}, "line 1: at_s is 'soon'; give a number"),
        ({"lines": [{**LINE, "audio": ["a.wav"]}]}, "line 1: audio is a list or an object"),
        ({"lines": [{**LINE, "audio": "../a.wav"}]}, "line 1: audio: ../a.wav lies outside of the folder"),
        ({"people": [{"face": "left", "out": "x"}]}, "person 1: no such setting: out"),
        (
            {"lines": [{**LINE, "face": "middle"}]},
            "dialogue.json, line 1: a face of middle cannot be chosen; give largest, left",
        ),
        ({"lines": [{**LINE, "face": 200}]}, "dialogue.json, line 1: a face of 200 cannot be chosen; give 0 to 99"),
        (
            {"people": [{"face": "middle"}]},
            "person 1: a face of middle cannot be chosen; give largest, left, right, a num",
        ),
        ({"people": [{"face": "left", "pose_face": "x"}]}, "person 1: a face of x cannot be chosen"),
        (
            {"people": [{"face": "left", "brows": "up"}]},
            "person 1: brows: there is no film or choice named up; give speech",
        ),
        (
            {"people": [{"face": "left", "pose": "livly"}]},
            "person 1: there is no pose named livly; did you mean lively?",
        ),
        ({"people": [{"face": "left"}, {"face": "left"}]}, "names one of its people twice"),
        ({"lines": [{**LINE, "face": n} for n in range(17)]}, "has 17 people; give up to 16"),
    ],
)
def test_wrong_dialogues_are_refused_in_one_line(write, fields, message):
    with pytest.raises(InputError) as refused:
        read_dialogue(write(**fields))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_pipe_is_refused_before_it_is_opened(tmp_path):
    path = tmp_path / "dialogue.json"
    os.mkfifo(path)
    with pytest.raises(InputError, match=r"dialogue\.json is a pipe or device, and is read more than once; save it"):
        input_files(options(path))


def test_settings_of_people_are_checked(write):
    path = write(people=[{"face": "left", "smile": 3}])
    with pytest.raises(InputError, match="face left: a smile of 3 cannot be used"):
        people_options(options(path), read_dialogue(path))


@pytest.mark.parametrize("setting", [{"audio": Path("a.wav")}, {"face": "left"}, {"size": 256}, {"end": 2.0}])
def test_what_a_dialogue_has_of_its_own_is_refused(setting):
    with pytest.raises(InputError, match=f"a dialogue has faces and sound of its own.*leave {next(iter(setting))} out"):
        options(Path("d.json"), **setting)
