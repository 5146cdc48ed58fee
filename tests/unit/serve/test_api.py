"""The API without workers: uploads, orders, lists, and the errors of each."""

import dataclasses
import json
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from helpers.service import client_of, make_token, order, running, send_inputs
from pcavs.animate.options import FilmOptions
from pcavs.serve.order import NOT_SETTINGS, SETTINGS, TalkOrder, animate_options, check, uploads_of


def problem(response):
    """Returns the line of a problem after checking its form."""
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    assert body["title"]
    assert "\n" not in body["detail"]
    return body["detail"]


def test_uploads_say_what_they_are(client, inputs):
    image, audio = inputs
    shown = client.get(f"/images/{image}").json()
    assert (shown["kind"], shown["width"], shown["height"], shown["url"]) == ("image", 512, 512, f"/images/{image}")
    assert client.get(f"/audios/{audio}").json()["duration"] == pytest.approx(0.4)


def test_a_film_waits_in_the_queue_and_is_listed(client, inputs):
    ordered = client.post("/talks", json=order(*inputs, name="one", user_data="mine", config={"size": 64}))
    assert ordered.status_code == 201
    talk = ordered.json()
    assert (talk["status"], talk["name"], talk["user_data"]) == ("created", "one", "mine")
    assert talk["config"] == {"size": 64}
    assert talk["waiting_before"] == 0
    assert client.get(f"/talks/{talk['id']}").json()["id"] == talk["id"]
    assert [each["id"] for each in client.get("/talks").json()["talks"]] == [talk["id"]]


def test_the_list_has_pages(client, inputs):
    made = [client.post("/talks", json=order(*inputs)).json()["id"] for _ in range(5)]
    client.post("/talks", json=order(*inputs, preview=True))
    seen, cursor = [], None
    while True:
        page = client.get("/talks", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [talk["id"] for talk in page["talks"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == made[::-1]


def test_the_address_of_an_upload_serves_as_its_id(client, inputs):
    image, audio = inputs
    sent = order(f"/images/{image}", f"http://localhost/audios/{audio}")
    assert client.post("/talks", json=sent).status_code == 201


def test_a_key_makes_one_film(client, inputs):
    key = {"Idempotency-Key": "order 7"}
    first = client.post("/talks", json=order(*inputs), headers=key)
    again = client.post("/talks", json=order(*inputs), headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = client.post("/talks", json=order(*inputs, pose="lively"), headers=key)
    assert other.status_code == 422
    assert problem(other) == "this Idempotency-Key was used for another film; give a new one"
    assert len(client.get("/talks").json()["talks"]) == 1


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"pose": "natural=3"}, "no such pose: natural=3; did you mean natural?"),
        ({"eyes": "shut"}, "eyes is shut; give the id of an uploaded video, speech, photo"),
        ({"performance": "speech"}, "performance is speech; give the id of an uploaded video"),
        ({"mouth": "img_AAAAAAAAAAAAAAAAAAAAAA"}, "there is no upload img_AAAAAAAAAAAAAAAAAAAAAA"),
        ({"pose": "livly"}, "no such pose: livly; did you mean lively?"),
        ({"config": {"size": 33}}, "a size of 33 cannot be used; give an even number from 32 to 2048"),
        ({"config": {"articulation": 9}}, "an articulation of 9 cannot be used; give 0.4 to 1.6"),
        ({"source_url": "/etc/passwd"}, "/etc/passwd is no upload; send the file to /images, /audios or /videos"),
        ({"source_url": "img_AAAAAAAAAAAAAAAAAAAAAA"}, "there is no upload img_AAAAAAAAAAAAAAAAAAAAAA"),
        ({"source_url": "http://127.0.0.1:22/x"}, "http://127.0.0.1:22/x is no upload"),
        ({"pose": "../../secret.json"}, "no such pose: ../../secret.json"),
        ({"config": {"face": "/etc/passwd"}}, "config.face: String should match pattern"),
        ({"config": {"background": "../secret.png"}}, "config.background: String should match pattern"),
        ({"config": {"label_font": "x.ttf"}}, "config: no such setting: label_font; did you mean label_corner?; see"),
        ({"config": {"outside": True}}, "config: no such setting: outside"),
        ({"config": {"sise": 3}}, "no such setting: sise; did you mean size?; see docs/animate.md or /openapi.json"),
        ({"webhook": "https://example.com/told"}, "the host 'example.com' is not allowed here"),
        ({"out": "/tmp/x"}, "the body: no such setting: out"),
        ({"pose": {"format": "pcavs-pose-1", "segments": [{"kind": "video", "path": "../x.mp4"}]}}, "pose, segment 1"),
        ({"pose": {"format": "pcavs-pose-1", "segments": [{"kind": "video", "path": "x.mp4"}]}}, "x.mp4 is no upload"),
        ({"script": {"type": "text", "input": "x" * 5001}}, "a text of 5001 characters cannot be said; give 1 to 5000"),
        ({"script": {"type": "song"}}, "script: "),
    ],
)
def test_orders_that_cannot_be_carried_out_say_why(client, inputs, change, line):
    refused = client.post("/talks", json=order(*inputs) | change)
    assert refused.status_code == 422
    assert line in problem(refused)
    assert client.get("/talks").json()["talks"] == []


def test_every_setting_of_a_film_is_allowed_in_orders_or_not_by_decision():
    fields = {field.name for field in dataclasses.fields(FilmOptions)}
    assert fields == {*SETTINGS, *NOT_SETTINGS}


def test_uploads_of_a_wrong_kind_are_refused(client, inputs):
    image, audio = inputs
    assert "is of the kind audio; give video" in problem(client.post("/talks", json=order(audio, audio)))
    assert "is of the kind image; give video" in problem(client.post("/talks", json=order(image, image)))


def test_what_is_deleted_is_gone(client, service, inputs):
    talk = client.post("/talks", json=order(*inputs)).json()["id"]
    assert client.delete(f"/talks/{talk}").status_code == 204
    assert client.get(f"/talks/{talk}").status_code == 404
    assert client.delete(f"/talks/{talk}").status_code == 404
    assert service.queue.take("worker") is None
    assert client.delete(f"/images/{inputs[0]}").status_code == 204
    assert "there is no upload" in problem(client.post("/talks", json=order(*inputs)))
    assert len(list((service.folder / "uploads").iterdir())) == 1


def test_only_failed_films_are_tried_again(client, service, inputs):
    talk = client.post("/talks", json=order(*inputs)).json()["id"]
    waiting = client.post(f"/talks/{talk}/retry")
    assert (waiting.status_code, problem(waiting)) == (409, "the film is created; only failed ones are tried again")
    service.queue.fail(service.queue.take("worker"), "no face was found")
    failed = client.get(f"/talks/{talk}").json()
    assert (failed["status"], failed["error"]) == ("error", "no face was found")
    assert client.post(f"/talks/{talk}/retry").json()["status"] == "created"
    assert service.queue.take("worker").id == talk


def test_a_film_is_no_file_before_it_is_done(client, inputs):
    talk = client.post("/talks", json=order(*inputs)).json()["id"]
    early = client.get(f"/talks/{talk}/film")
    assert (early.status_code, problem(early)) == (409, "the film is created; wait until it is done")


def test_consent_can_be_required(tmp_path, composite):
    with running(tmp_path / "data", require_consent=True) as service:
        client = client_of(service)
        inputs = send_inputs(client, composite, tmp_path)
        for consent in (None, "", " ", {}):
            refused = client.post("/talks", json=order(*inputs, consent=consent))
            assert "no consent; this service requires a record" in problem(refused)
        assert client.post("/talks", json=order(*inputs, consent={"who": "A"})).status_code == 201


def test_head_motions_and_limits_are_described(client):
    about = client.get("/about").json()
    assert "lively" in about["poses"]
    motion = client.get("/poses/lively", params={"seconds": 2}).json()
    assert len(motion["yaw"]) == len(motion["pitch"]) == len(motion["roll"]) == 50
    assert max(map(abs, motion["pitch"])) > 1
    assert client.get("/poses/none").status_code == 404
    natural = client.get("/poses/natural", params={"seconds": 4}).json()
    assert 1 < max(map(abs, natural["pitch"])) < 10


def test_orders_name_films_for_parts_of_the_face(tmp_path):
    image, sound, film, mouth = (f"{name}{name[-1] * 21}" for name in ("img_A", "aud_B", "vid_C", "vid_D"))
    asked = order(image, sound, pose="natural=1.5", performance=film, eyes="speech", brows=film, mouth=mouth)
    talk = TalkOrder.model_validate(asked)
    check(talk, require_consent=False)
    assert uploads_of(talk) == {
        image: ("image", "video"),
        sound: ("audio", "video"),
        film: ("video", "track"),
        mouth: ("video",),
    }
    files = {name: tmp_path / name for name in (image, sound, film, mouth)}
    options = animate_options(talk, tmp_path, files, tmp_path / "out.mp4")
    assert (options.pose, options.performance, options.eyes) == (Path("natural=1.5"), tmp_path / film, "speech")
    assert (options.brows, options.mouth) == (str(tmp_path / film), str(tmp_path / mouth))


def test_the_page_comes_with_a_strict_policy(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"


def test_the_description_is_valid_openapi(client):
    description = client.get("/openapi.json").json()
    validate(description)
    assert set(description["paths"]) >= {"/images", "/audios", "/videos", "/talks", "/talks/{name}", "/speech"}


def test_the_example_of_an_order_in_the_description_can_be_ordered(client, inputs):
    schema = client.get("/openapi.json").json()["components"]["schemas"]["TalkOrder"]
    text = json.dumps(schema["examples"][0])
    text = text.replace("img_AAAAAAAAAAAAAAAAAAAAAA", inputs[0]).replace("aud_AAAAAAAAAAAAAAAAAAAAAA", inputs[1])
    assert client.post("/talks", content=text, headers={"content-type": "application/json"}).status_code == 201


def test_readiness_needs_a_worker(client, service):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert problem(client.get("/readyz")) == "no worker is alive yet"
    service.queue.seen("worker")
    assert client.get("/readyz").json() == {"status": "ready"}


def test_state_says_the_same_without_an_error(client, service):
    assert client.get("/state").json() == {"ready": False, "why": "no worker is alive yet"}
    service.queue.seen("worker")
    assert client.get("/state").json() == {"ready": True, "why": None}


def test_the_operator_can_forbid_films_without_marks(tmp_path, composite):
    with running(tmp_path / "data", require_marks=True) as service:
        client = client_of(service)
        inputs = send_inputs(client, composite, tmp_path)
        refused = client.post("/talks", json=order(*inputs, config={"marks": "none"}))
        assert problem(refused).startswith("this service makes no films without marks; ")
        for marks in ("audio", "all"):
            assert client.post("/talks", json=order(*inputs, config={"marks": marks})).status_code == 201
        assert client.get("/about").json()["require_marks"]


def test_a_sound_is_heard_by_its_owner(client, inputs, tmp_path):
    heard = client.get(f"/audios/{inputs[1]}/sound")
    assert heard.content == (tmp_path / "sent.wav").read_bytes()
    assert (heard.headers["content-type"], heard.headers["x-content-type-options"]) == ("audio/wav", "nosniff")
    assert heard.headers["content-disposition"].startswith("attachment")
    assert problem(client.get(f"/audios/{inputs[0]}/sound")).endswith("is no sound; only sounds can be heard")
    client.delete(f"/audios/{inputs[1]}")
    assert client.get(f"/audios/{inputs[1]}/sound").status_code == 404


def test_voices_are_listed(tmp_path):
    voices = tmp_path / "voices"
    voices.mkdir()
    for name in ("kokoro.onnx", "vocab.json", "af_heart.bin"):
        (voices / name).touch()
    with running(tmp_path / "data", voices=voices) as service:
        found = client_of(service).get("/voices").json()
    heart = {"name": "af_heart", "language": "en-us", "kind": "kokoro", "licence": "Apache-2.0"}
    assert found["natural"] == [heart]
    assert isinstance(found["espeak"], list)


def test_figures_count_requests_by_route(client, inputs):
    client.post("/talks", json=order(*inputs))
    text = client.get("/metrics").text
    assert 'pcavs_requests_total{method="POST",route="/talks",status="201"} 1.0' in text
    assert 'pcavs_jobs{state="queued"} 1.0' in text
    assert inputs[0] not in text


def test_owners_see_their_own_only(service, composite, tmp_path):
    one, two = (client_of(service, make_token(service, name)) for name in ("one", "two"))
    mine = send_inputs(one, composite, tmp_path)
    talk = one.post("/talks", json=order(*mine)).json()["id"]
    assert two.get(f"/talks/{talk}").status_code == 404
    assert two.get(f"/talks/{talk}/film").status_code == 404
    assert two.get(f"/talks/{talk}/events").status_code == 404
    assert two.delete(f"/talks/{talk}").status_code == 404
    assert two.post(f"/talks/{talk}/retry").status_code == 404
    assert two.get("/talks").json()["talks"] == []
    assert two.get(f"/images/{mine[0]}").status_code == 404
    assert two.delete(f"/images/{mine[0]}").status_code == 404
    assert "there is no upload" in problem(two.post("/talks", json=order(*mine)))
    assert two.get(f"/audios/{mine[1]}/sound").status_code == 404
    assert one.get(f"/audios/{mine[1]}/sound").status_code == 200
    assert one.get(f"/talks/{talk}").status_code == 200
