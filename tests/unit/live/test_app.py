"""The page of `pcavs live`: a stream of pictures and sound to a WebRTC client, and what the page refuses."""

import asyncio
import contextlib
import re
from pathlib import Path

import aiohttp
import aioice.ice
import numpy as np
import pytest
from aiohttp import web
from aiortc import RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError
from av import AudioFrame

from helpers.live import SIDE_PX, HearingMouth
from helpers.sounds import write_wav
from pcavs.animate.talker import Talker
from pcavs.errors import InputError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.live import peers
from pcavs.live.app import LiveApp
from pcavs.live.options import LiveOptions
from pcavs.live.speech import RATE_HZ
from pcavs.live.stage import Stage

OFFER_TIMEOUT_S = 20


@pytest.fixture(scope="module")
def talker():
    return Talker(HearingMouth(), FaceLandmarker(), "loud", "0" * 64)


@pytest.fixture(scope="module")
def person(talker, composite):
    with talker.session(composite, size=SIDE_PX) as session:
        return session.person


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch):
    monkeypatch.setattr("aioice.ice.get_host_addresses", None)  # what `bind_only` replaces is put back
    peers.bind_only(["127.0.0.1"])


def tone(seconds):
    return (0.3 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


@contextlib.asynccontextmanager
async def serving(talker, person, first=None):
    """Yields a client of a running page, and its stage."""
    async with talker.live(person, marks="none") as avatar:
        stage = Stage(avatar)
        app = LiveApp(stage, "127.0.0.1", first, "en-us", None)
        runner = web.AppRunner(app.application(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        showing = asyncio.create_task(stage.run())
        port = runner.addresses[0][1]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            yield client, stage
        showing.cancel()
        await app.close()
        await runner.cleanup()


@contextlib.asynccontextmanager
async def watching(client):
    """Yields the tracks that a WebRTC client receives, and the answer of the page."""
    peer, tracks, ready = peers.new_peer(), {}, asyncio.Event()

    @peer.on("track")
    def received(track):
        tracks[track.kind] = track
        if len(tracks) == 2:
            ready.set()

    peer.addTransceiver("video", direction="recvonly")
    peer.addTrack(AudioStreamTrack())
    await peer.setLocalDescription(await peer.createOffer())
    async with client.post("/offer", json={"sdp": peer.localDescription.sdp}) as response:
        answer = await response.json()
        assert response.status == 200, answer
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    await ready.wait()
    yield tracks, answer["sdp"]
    await peer.close()


async def loudness(track, seconds):
    """Returns the level of each packet of 20 ms that arrives."""
    levels = []
    for _ in range(round(50 * seconds)):
        frame = await track.recv()
        levels.append(float(np.abs(frame.to_ndarray()).mean()) / 32768)
    return np.array(levels)


def test_a_client_gets_pictures_and_the_sound_that_is_said(talker, person):
    async def scene():
        async with serving(talker, person, first=tone(1.0)) as (client, stage):
            async with asyncio.timeout(OFFER_TIMEOUT_S), watching(client) as (tracks, sdp):
                picture = await tracks["video"].recv()
                levels = np.zeros(0)
                while not (levels > 0.05).any() or (levels[-15:] > 0.05).any():
                    levels = np.append(levels, await loudness(tracks["audio"], 0.1))
                status = await (await client.get("/status")).json()
            for _ in range(200):
                if not stage.status()["watchers"]:
                    break
                await asyncio.sleep(0.05)
            return picture, levels, status, sdp, stage.status()["watchers"]

    picture, levels, status, sdp, left = asyncio.run(scene())
    assert (picture.width, picture.height) == (SIDE_PX, SIDE_PX)
    assert 40 < (levels > 0.05).sum() < 60
    assert status["watchers"] == 1
    assert status["fps"] > 0
    assert status["latency_ms"] >= 0
    assert status["again"]
    assert left == 0
    assert peers.candidate_addresses(sdp) == {"127.0.0.1"}


def test_a_file_is_said_and_an_interruption_ends_it(talker, person, tmp_path):
    content = write_wav(tmp_path / "tone.wav", tone(20.0)[::3], RATE_HZ // 3).read_bytes()

    async def scene():
        async with (
            serving(talker, person) as (client, stage),
            asyncio.timeout(OFFER_TIMEOUT_S),
            watching(client) as (tracks, _),
        ):
            said = await (await client.post("/speech", data=content)).json()
            levels = await loudness(tracks["audio"], 2.0)
            dropped = await (await client.post("/interrupt")).json()
            status = stage.status()
            late = 0
            while (await loudness(tracks["audio"], 0.3)).max() > 0.01:  # what was on its way
                late += 1
            return said, levels, dropped, status, late

    said, levels, dropped, status, late = asyncio.run(scene())
    assert said == {"seconds": 20.0}
    assert (levels > 0.05).any()
    assert dropped["dropped_s"] > 10
    assert status["waiting_s"] == 0
    assert late < 20


def test_the_microphone_is_spoken(talker, person):
    class Microphone(AudioStreamTrack):
        def __init__(self):
            super().__init__()
            self.sent = 0

        async def recv(self):
            await asyncio.sleep(0.01)
            level = 9000 if self.sent < 50 else 0
            self.sent += 1
            frame = AudioFrame.from_ndarray(np.full((1, 1920), level, np.int16), format="s16", layout="stereo")
            frame.sample_rate = RATE_HZ
            if self.sent > 110:
                self.stop()
                raise MediaStreamError
            return frame

    async def scene():
        async with talker.live(person, marks="none") as avatar:
            stage = Stage(avatar)
            watcher = stage.join()
            showing = asyncio.create_task(stage.run())
            await asyncio.wait_for(stage.listen(Microphone().recv), 20)
            while avatar.waiting_s:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
            levels = [np.abs(packet.to_ndarray()).max() for packet in watcher.sound._frames]
            showing.cancel()
            return np.array(levels)

    levels = asyncio.run(scene())
    assert (levels > 8000).sum() == pytest.approx(50, abs=4)


def test_the_page_refers_to_no_other_host_and_forbids_what_it_does_not_use(talker, person):
    async def scene():
        async with serving(talker, person) as (client, _):
            answers = [await client.get(path) for path in ("/", "/live.css", "/live.js")]
            return [(each.headers, await each.text()) for each in answers]

    for headers, text in asyncio.run(scene()):
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(r"https?://", text)
        assert "<script>" not in text
        assert "style=" not in text


@pytest.mark.parametrize(
    ("path", "settings", "status", "expected"),
    [
        ("/offer", {"json": {"sdp": "nonsense"}}, 422, "no offer"),
        ("/offer", {"json": {"sdp": "v=0\r\nm=what"}}, 422, "reload"),
        ("/offer", {"json": []}, 422, "no offer"),
        ("/offer", {"data": b"{}"}, 415, "JSON"),
        ("/say", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 422, "no JSON"),
        ("/say", {"json": {"text": 3}}, 422, "no text"),
        ("/say", {"json": {"text": ""}}, 422, "cannot be said"),
        ("/speech", {"data": b"garbage"}, 422, "the sound"),
        ("/interrupt", {"headers": {"Origin": "https://elsewhere.example"}}, 403, "another address"),
        ("/interrupt", {"headers": {"Host": "elsewhere.example"}}, 403, "another address"),
        ("/interrupt", {"headers": {"Sec-Fetch-Site": "cross-site"}}, 403, "another address"),
        ("/nothing", {}, 404, "Not Found"),
    ],
)
def test_what_the_page_does_not_take_is_refused_in_one_line(talker, person, path, settings, status, expected):
    async def scene():
        async with serving(talker, person) as (client, stage), client.post(path, **settings) as response:
            return response.status, (await response.json())["error"], stage.status()["watchers"]

    found, error, watchers = asyncio.run(scene())
    assert (found, watchers) == (status, 0)
    assert expected in error
    assert "\n" not in error


def test_only_some_may_watch(talker, person, monkeypatch):
    monkeypatch.setattr("pcavs.live.app._MOST_WATCHERS", 0)

    async def scene():
        async with serving(talker, person) as (client, _), client.post("/offer", json={"sdp": "v=0"}) as response:
            return response.status

    assert asyncio.run(scene()) == 422


def test_hidden_names_of_browsers_become_the_address_that_asked():
    line = "a=candidate:1 1 udp 2122260223 {} 50000 typ host generation 0"
    sdp = "\r\n".join(["v=0", line.format("1a2b.local"), line.format("192.0.2.7")])
    assert peers.candidate_addresses(peers.with_address(sdp, "127.0.0.1")) == {"127.0.0.1", "192.0.2.7"}


def test_streams_use_the_addresses_that_were_asked_for(monkeypatch):
    assert aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True) == ["127.0.0.1"]
    assert aioice.ice.get_host_addresses(use_ipv4=False, use_ipv6=True) == []
    assert peers.addresses_of("127.0.0.1") == ["127.0.0.1"]
    with pytest.raises(InputError, match="--host"):
        peers.addresses_of("no such host")
    everywhere = lambda **_: ["everywhere"]  # noqa: E731
    monkeypatch.setattr(aioice.ice, "get_host_addresses", everywhere)
    peers.bind_only(["0.0.0.0"])
    assert aioice.ice.get_host_addresses is everywhere


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"audio": Path("a.wav"), "say": "hello"}, "both audio and a text"),
        ({"port": 70_000}, "port of 70000"),
        ({"background": "transparent"}, "no transparency"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings, expected, tmp_path):
    with pytest.raises(InputError, match=expected):
        LiveOptions(photo=tmp_path, **settings)
