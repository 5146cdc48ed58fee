"""Dialogues in orders: what they may hold, which uploads they read, and the file that they become."""

import json
from pathlib import Path

import pytest

from pcavs.animate.dialogue import read_dialogue
from pcavs.animate.inputs import input_files
from pcavs.serve.order import TalkOrder, animate_options, check, uploads_of

IMAGE, SOUND, FILM, ANNA = (f"{name}{name[-1] * 21}" for name in ("img_A", "aud_B", "vid_C", "img_D"))
TEXT = {"face": "left", "input": "Hello."}


def dialogue(*lines, people=(), image=IMAGE, **fields):
    return {"source_url": image, "script": {"type": "dialogue", "lines": [*lines], "people": [*people]}} | fields


def test_a_dialogue_becomes_a_file_beside_its_uploads(tmp_path):
    keys = {"kind": "keys", "keys": [{"at_s": 0, "yaw": 5}]}
    timeline = {"format": "pcavs-pose-1", "segments": [keys, {"kind": "video", "path": FILM}]}
    asked = dialogue(
        {"face": ANNA, "audio_url": f"/audios/{SOUND}", "end_s": 2},
        {"face": "right", "input": "I see.", "voice": "en-gb", "at_s": 2.5},
        people=[
            {"face": ANNA, "pose": timeline, "performance": FILM, "smile": 0.3, "seed": 4},
            {"face": "right", "pose": "lively", "eyes": "speech", "brows": FILM, "no_blinks": True},
        ],
        pose="natural=0.5",
        config={"seed": 7},
    )
    order = TalkOrder.model_validate(asked)
    check(order, require_consent=False)
    assert uploads_of(order) == {
        IMAGE: ("image", "video"),
        SOUND: ("audio", "video"),
        ANNA: ("image",),
        FILM: ("video", "track"),
    }
    files = {name: tmp_path / name for name in (IMAGE, SOUND, FILM, ANNA)}
    for file in files.values():
        file.touch()
    options = animate_options(order, tmp_path, files, tmp_path / "film.mp4")
    assert (options.audio, options.say, options.pose) == (None, None, Path("natural=0.5"))
    made = read_dialogue(options.dialogue)
    first, second = made.lines
    assert (first.face, first.audio, first.end_s) == (str(tmp_path / ANNA), tmp_path / SOUND, 2)
    assert (second.say, second.voice, second.at_s) == ("I see.", "en-gb", 2.5)
    anna, right = (person.settings for person in made.people)
    assert (anna["performance"], anna["smile"], anna["seed"]) == (tmp_path / FILM, 0.3, 4)
    assert json.loads(anna["pose"].read_text())["segments"][1]["path"] == FILM
    assert right == {"pose": Path("lively"), "eyes": "speech", "brows": str(tmp_path / FILM), "no_blinks": True}
    assert {path for _, path in input_files(options)} >= {*files.values()}


@pytest.mark.parametrize(
    ("script", "fields", "message"),
    [
        ([], {}, "script.dialogue.lines: List should have at least 1 item"),
        ([{"face": "left"}], {}, "script, line 1 needs a sound or a text; give audio_url or input, and not both"),
        ([TEXT, TEXT | {"audio_url": SOUND}], {}, "script, line 2 needs a sound or a text"),
        ([TEXT | {"start_s": 2, "end_s": 1}], {}, "script, line 1 ends before it starts; give an end_s above 2"),
        ([TEXT | {"face": "middle"}], {}, "script.dialogue.lines.0.face: String should match pattern"),
        ([TEXT | {"at_s": -1}], {}, "script.dialogue.lines.0.at_s: Input should be greater than or equal to 0"),
        ([TEXT | {"at_s": 700}], {}, "script, line 1 begins at 700 s; give up to 600 s"),
        ([TEXT | {"audio": "/etc/passwd"}], {}, "script.dialogue.lines.0: no such setting: audio"),
        ([{"face": "left", "audio_url": "/etc/passwd"}], {}, "/etc/passwd is no upload"),
        ([{"face": "left", "audio_url": SOUND}], {}, f"there is no upload {SOUND}"),
        ([TEXT | {"input": "x" * 3000}] * 2, {}, "a text of 6001 characters cannot be said; give 1 to 5000"),
        ([TEXT | {"face": str(at)} for at in range(17)], {}, "script has 17 people; give up to 16"),
        ([TEXT], {"people": [{"face": "left"}] * 2}, "script names one of its people twice; give each face once"),
        (
            [TEXT],
            {"people": [{"face": "left", "pose": "livly"}]},
            "person 1: no such pose: livly; did you mean li",
        ),
        (
            [TEXT],
            {"people": [{"face": "left", "brows": "up"}]},
            "person 1: brows is up; give the id of an upl",
        ),
        ([TEXT], {"people": [{"face": "left", "smile": 3}]}, "script, face left: a smile of 3 cannot be used"),
        ([TEXT], {"people": [{"face": "left", "gaze": "up"}]}, "script, face left: a gaze of up cannot be read"),
        ([TEXT], {"people": [{"face": "left", "out": "x"}]}, "people.0: no such setting: out"),
        ([TEXT], {"people": [{"face": "left", "mouth": FILM}]}, f"there is no upload {FILM}"),
        (
            [TEXT],
            {"config": {"size": 256}},
            "a dialogue has faces and sound of its own, in a whole picture; leave",
        ),
        ([TEXT], {"preview": True}, "a dialogue has no preview of its first second; leave preview out"),
    ],
)
def test_dialogues_that_cannot_be_made_are_refused_in_one_line(client, inputs, script, fields, message):
    refused = client.post("/talks", json=dialogue(*script, image=inputs[0], **fields))
    assert refused.status_code == 422
    assert message in refused.json()["detail"]
    assert "\n" not in refused.json()["detail"]
    assert client.get("/talks").json()["talks"] == []


def test_an_ordered_dialogue_waits_and_is_shown(client, inputs):
    image, sound = inputs
    asked = dialogue(
        {"face": "left", "audio_url": sound}, TEXT, people=[{"face": "left", "pose": "still"}], image=image
    )
    talk = client.post("/talks", json=asked)
    assert talk.status_code == 201, talk.text
    assert talk.json()["script"]["lines"][0]["audio_url"] == sound
    wrong = dialogue({"face": image, "audio_url": image}, image=image)
    assert "is of the kind image" in client.post("/talks", json=wrong).json()["detail"]


def test_the_description_of_the_api_has_dialogues(client):
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    person = schemas["DialoguePerson"]["properties"]
    assert {"face", "pose", "performance", "smile", "seed"} <= set(person)
    assert "out" not in person
    assert "identity" not in person
    assert schemas["DialogueLine"]["properties"]["at_s"]["description"].startswith("When it begins")
