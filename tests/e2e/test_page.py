"""The page in headless Chromium: a user makes, watches, downloads and deletes films."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from helpers.page import Errors, chromium, until
from helpers.service import make_token, running, serving
from helpers.sounds import write_noise
from pcavs.media.video import count_pictures
from pcavs.pose.compile import compile_timeline
from pcavs.pose.source import SegmentReader
from pcavs.pose.timeline import timeline_from


class NoFiles(SegmentReader):
    """For timelines that name no files."""

    def __init__(self):
        pass


TEXT = "Hello there, this is a test."


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tiny_networks, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("service") / "data", tiny_networks) as (_, address):
        yield address


@pytest.fixture
def open_page(browser, address):
    """Opens the page; at the end, none of its pages must have had an error."""
    errors, contexts = Errors(), []

    def open_page(**settings):
        context = browser.new_context(locale="en-US", reduced_motion="reduce", **settings)
        contexts.append(context)
        page = context.new_page()
        errors.watch(page, address)
        page.goto(address)
        page.wait_for_selector("html[data-started]")
        return page

    open_page.errors = errors
    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def choose_photo(page, face):
    with page.expect_file_chooser() as chooser:
        page.click("#photo-choose")
    chooser.value.set_files(face)
    page.wait_for_selector("#photo-shown img")


def consent(page):
    page.check("#consent")
    page.fill("#consent-name", "A. Person")


def value_of(page, selector):
    return float(page.get_attribute(selector, "aria-valuenow"))


def order_of(page, button="#make"):
    """Clicks a button and returns the order that is sent and the film that it makes."""
    with page.expect_response(lambda answer: answer.request.method == "POST" and "/talks" in answer.url) as answer:
        page.click(button)
    return json.loads(answer.value.request.post_data), answer.value.json()


def test_a_text_becomes_a_film_that_is_watched_downloaded_kept_and_deleted(open_page, face, tmp_path):
    page = open_page()
    page.click("#make")
    assert page.inner_text("#missing") == "Choose a photo."
    choose_photo(page, face)
    page.fill("#text", TEXT)
    assert page.inner_text("#text-count").startswith(f"{len(TEXT)} of 5000")
    page.click("#listen")
    heard = page.wait_for_selector("#audio-player:visible")
    until(lambda: heard.evaluate("node => node.duration > 1 && node.error === null"))
    assert re.fullmatch("0:0[1-4] of speech", page.inner_text("#audio-facts"))
    page.click("#make")
    assert page.inner_text("#missing") == "Confirm the consent."
    consent(page)
    page.fill("#name", "<b>First</b>")
    sent, made = order_of(page)
    assert sent["script"] == {"type": "text", "input": TEXT, "voice": "en-us"}
    assert (sent["pose"], sent["consent"]["given_by"]) == ("natural", "A. Person")
    assert sent["config"] == {"label": "AI-generated"}
    page.wait_for_selector("#making-bar:visible")
    video = page.wait_for_selector("#screen video[controls]", timeout=90_000)
    until(lambda: video.evaluate("node => node.ended"))
    assert video.evaluate("node => node.videoWidth > 0 && node.error === null && node.currentTime > 1")
    assert page.inner_text("#screen .badge") == "AI-generated"
    with page.expect_download() as download:
        page.click("#under a")
    download.value.save_as(tmp_path / "film.mp4")
    assert download.value.suggested_filename == f"{made['id']}.mp4"
    assert count_pictures(tmp_path / "film.mp4") == round(25 * video.evaluate("node => node.duration"))

    page.reload()
    page.wait_for_selector("#films li")
    assert page.inner_text("#films h3") == "<b>First</b>"
    page.click("#films li >> text=Use settings")
    assert page.input_value("#text") == TEXT
    page.click("#films li >> text=Delete")
    page.click("#confirm-dialog >> text=Keep")
    assert page.locator("#films li").count() == 1
    page.click("#films li >> text=Delete")
    page.click("#confirm-dialog button.danger")
    page.wait_for_selector("#history-empty:visible")
    assert page.request.get(f"{page.url}talks/{made['id']}").status == 404


def test_a_pose_is_set_by_sliders_that_turn_the_wireframe(open_page, face, examples, tmp_path):
    page = open_page()
    films = page.locator("#films li").count()
    choose_photo(page, face)
    sound = tmp_path / "speech.wav"
    write_noise(sound, 0.8)
    page.click("#voice-tabs-upload")
    page.set_input_files("#audio-file", sound)
    page.wait_for_selector("#audio-shown:visible")
    assert page.inner_text("#audio-facts") == "0:01 of speech"
    page.click("#motion-tabs-angles")
    picture = "node => node.toDataURL()"
    before = page.locator("#angles-head").evaluate(picture)
    page.focus("#yaw")
    page.keyboard.press("End")
    page.focus("#pitch")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#angles-head").evaluate(picture) != before
    consent(page)
    sent, made = order_of(page, "#preview")
    assert (sent["pose"], sent["preview"]) == ("yaw=35,pitch=-1,roll=0", True)
    page.wait_for_selector("#screen video[controls]", timeout=90_000)
    assert page.locator("#films li").count() == films, "previews are not listed"
    page.request.delete(f"{page.url}talks/{made['id']}")

    page.click("#motion-tabs-film")
    page.click("#make")
    assert page.inner_text("#missing") == "Choose a video for the head motion."
    page.set_input_files("#film-file", examples / "pose.mp4")
    page.wait_for_selector("#film-shown video")
    sent, made = order_of(page)
    assert sent["performance"].startswith("vid_")
    assert "mouth" not in sent
    page.uncheck("#film-face")
    page.check("#film-mouth")
    page.click("#making-cancel")
    until(lambda: page.request.get(f"{page.url}talks/{made['id']}").status == 404)
    first = sent["performance"]
    sent, made = order_of(page)
    assert (sent["pose"], sent["mouth"]) == (first, first)
    page.click("#making-cancel")
    until(lambda: page.request.get(f"{page.url}talks/{made['id']}").status == 404)


def test_keys_are_dragged_and_moved_by_keyboard_and_the_film_follows_them(open_page, face):
    page = open_page()
    page.click("#motion-tabs-timeline")
    yaw = page.locator(".dot.yaw").nth(1)
    yaw.scroll_into_view_if_needed()
    box = yaw.locator(".point").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20, y + 40, steps=4)
    page.mouse.up()
    key = json.loads(page.input_value("textarea.code"))["segments"][0]["keys"][1]
    assert key["at_s"] > 1.4
    assert key["yaw"] < 10
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    moved = json.loads(page.input_value("textarea.code"))["segments"][0]["keys"][1]
    assert moved["yaw"] == key["yaw"] + 1
    assert moved["at_s"] == pytest.approx(key["at_s"] + 0.04)
    page.keyboard.press("Delete")
    assert page.locator(".dot.yaw").count() == 3
    page.locator("svg.chart").dblclick(position={"x": 200, "y": 100})
    assert page.locator(".dot.yaw").count() == 4
    page.select_option("#timeline select >> nth=0", "lively")
    timeline = json.loads(page.input_value("textarea.code"))
    assert [part["kind"] for part in timeline["segments"][0]["parts"]] == ["keys", "preset"]

    choose_photo(page, face)
    page.fill("#text", "Hello.")
    consent(page)
    sent, made = order_of(page)
    assert sent["pose"] == timeline
    page.wait_for_selector("#screen video[controls]", timeout=90_000)
    page.request.delete(f"{page.url}talks/{made['id']}")


def test_the_wireframe_moves_as_the_film_will(open_page):
    keys = [
        {"at_s": 0.2, "yaw": 2.0},
        {"at_s": 1.0, "yaw": 20.0, "pitch": -6.0, "ease": "linear"},
        {"at_s": 2.4, "roll": 9.0},
    ]
    script = """async ([address, keys]) => {
        const { poseAtTime } = await import(address + "page/keys.js");
        const full = keys.map((key) => ({ yaw: 0, pitch: 0, roll: 0, ease: "smooth", ...key }));
        const poses = Array.from({ length: 60 }, (_, n) => poseAtTime(full, n / 25));
        return poses.map((pose) => [pose.yaw, pose.pitch, pose.roll]);
    }"""
    page = open_page()
    shown = np.array(page.evaluate(script, [page.url, keys]))
    fields = {"format": "pcavs-pose-1", "segments": [{"kind": "keys", "keys": keys}]}
    made = compile_timeline(timeline_from(fields, "test", Path()), 60, np.zeros(60), NoFiles())
    np.testing.assert_allclose(shown, made[:, :3], atol=1e-4)


def test_a_timeline_that_the_editor_cannot_show_is_used_as_it_is(open_page):
    page = open_page()
    page.click("#motion-tabs-timeline")
    page.click("#timeline summary")
    own = {"format": "pcavs-pose-1", "segments": [{"kind": "preset", "name": "lively", "seed": 3}]}
    page.fill("textarea.code", json.dumps(own))
    page.click("#timeline >> text=Use this JSON")
    page.wait_for_selector("#timeline .own:visible")
    page.fill("textarea.code", '{"format": "other"}')
    page.click("#timeline >> text=Use this JSON")
    assert page.inner_text("#alerts").startswith("This is no timeline:")
    with page.expect_download() as download:
        page.click("#look summary")
        page.click("#settings-save")
    settings = json.loads(download.value.path().read_text())
    assert settings["pose"] == own

    settings |= {
        "script": {"type": "text", "input": "Hi", "voice": "de+f2"},
        "config": {"size": 512, "no_blinks": True},
    }
    settings |= {"pose": "yaw=-7,pitch=3", "format": "webm"}
    file = {"name": "settings.json", "mimeType": "application/json", "buffer": json.dumps(settings).encode()}
    page.set_input_files("#settings-file", file)
    until(lambda: page.input_value("#yaw") == "-7")
    assert (page.input_value("#language"), page.input_value("#speaker")) == ("de", "de+f2")
    assert page.inner_text("#text-count").startswith("2 of 5000")
    file["buffer"] = json.dumps(settings | {"pose": "natural=1.5"}).encode()
    page.set_input_files("#settings-file", file)
    page.wait_for_selector(".preset >> text=\u00d7 1.5")
    with page.expect_download() as download:
        page.click("#settings-save")
    assert json.loads(download.value.path().read_text())["pose"] == "natural=1.5"
    file["buffer"] = json.dumps(settings | {"config": {"outside": True}}).encode()
    page.set_input_files("#settings-file", file)
    until(lambda: "These are no settings of this page: outside" in page.inner_text("#alerts"))


def test_photo_and_voice_come_from_camera_and_microphone(open_page):
    page = open_page(permissions=["camera", "microphone"])
    page.click("#photo-camera")
    until(lambda: page.locator("#camera").evaluate("node => node.videoWidth") > 0)
    page.click("#camera-take")
    page.wait_for_selector("#photo-shown img")
    assert re.fullmatch(r"\d+ . \d+ pixels", page.inner_text("#photo-facts"))
    page.click("#voice-tabs-record")
    page.click("#record")
    until(lambda: page.inner_text("#record-time") == "0:02")
    page.click("#record")
    page.wait_for_selector("#audio-shown:visible")
    assert re.fullmatch(r"0:0[1-9] of speech", page.inner_text("#audio-facts"))


def test_errors_of_the_service_and_of_the_page_are_shown(open_page, address, tmp_path):
    page = open_page()
    (tmp_path / "no.jpg").write_bytes(b"no picture")
    page.set_input_files("#photo-file", tmp_path / "no.jpg")
    until(lambda: "the file is no picture that can be read" in page.inner_text("#alerts"))
    page.click("#alerts >> text=Dismiss")
    page.evaluate("setTimeout(() => { Promise.reject(new Error('a fault')) })")
    until(lambda: page.inner_text("#alerts").startswith("Something went wrong on this page: a fault"))
    open_page.errors.remove("a fault")
    page.route(f"{address}/images", lambda route: route.abort())
    page.set_input_files("#photo-file", tmp_path / "no.jpg")
    until(lambda: "The service cannot be reached." in page.inner_text("#alerts"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_everybody_can_use_it(open_page, scheme, size):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_page(color_scheme=scheme, viewport={"width": size[0], "height": size[1]})
    page.click("#look summary")
    page.click("#make")
    for voice, motion in (("text", "preset"), ("upload", "angles"), ("record", "timeline"), ("text", "film")):
        page.click(f"#voice-tabs-{voice}")
        page.click(f"#motion-tabs-{motion}")
        found = axe.run(page).response["violations"]
        assert [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found] == []
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size[0], "nothing is cut off or scrolled sideways"


def test_a_token_is_asked_for_and_forgotten_with_the_tab(browser, tiny_networks, tmp_path):
    with running(tmp_path / "data") as service:
        token = make_token(service)
    with serving(tmp_path / "data", tiny_networks) as (_, address):
        page = browser.new_page()
        page.goto(address)
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        until(lambda: page.inner_text("#token-error") == "This token is not valid.")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.wait_for_selector("html[data-started]")
        page.reload()
        page.wait_for_selector("html[data-started]")
        page.click("#sign-out")
        page.wait_for_selector("#token-dialog[open]")
        page.close()
