"""Measures the page of `pcavs live` in headless Chromium: frame rate, dropped pictures, sync of picture and sound.

    python benchmarks/measure_page.py --photo FACE --audio SPEECH [--seconds 60] [--size 256] [--keep recorded.webm]

The speech is repeated with pauses, the page is opened, and Chromium records what it receives. The recorded sound is
aligned with the speech, and the opening of the recorded mouth with that of a session that is given the same speech, in
stretches of 10 s. Sync is the difference of the two, positive where the picture is late. Chromium's recorder has an
offset of its own: it is measured first, on flashes and tones that the browser makes at the same time, and subtracted.
"""

import argparse
import base64
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
from playwright.sync_api import Page, sync_playwright

from pcavs.animate.load import load_talker
from pcavs.evaluate.observe import load_judges, observe
from pcavs.media.audio import read_waveform
from pcavs.media.files import write_wav
from pcavs.metrics.curves import Curve
from pcavs.spec import FRAME_RATE, SAMPLE_RATE_HZ
from pcavs.types import Picture, Waveform

logger = logging.getLogger("measure_page")

PAUSE_S: Final = 0.8
FIRST_S: Final = 3.0
"""Start of the first stretch: the recording may begin a little after the speech."""
STRETCH_S: Final = 10.0
MAX_SHIFT_S: Final = 3.0
STEP_S: Final = 0.004
"""Step of the search for the shift of the mouth."""
RECORD: Final = """
() => {
  const video = document.getElementById("video");
  window.pieces = [];
  window.recorder = new MediaRecorder(video.srcObject, {
    mimeType: "video/webm;codecs=vp8,opus", videoBitsPerSecond: 2e6 });
  window.recorder.ondataavailable = (event) => window.pieces.push(event.data);
  window.recorder.start(1000);
}"""
STOP: Final = """
() => new Promise((resolve) => {
  window.recorder.onstop = () => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1]);
    reader.readAsDataURL(new Blob(window.pieces));
  };
  window.recorder.stop();
})"""
CALIBRATE: Final = """
async () => {
  const canvas = document.createElement("canvas"), context = new AudioContext({ sampleRate: 48000 });
  canvas.width = canvas.height = 64;
  document.body.append(canvas);
  await context.resume();
  const place = context.createMediaStreamDestination(), tone = context.createOscillator(), gain = context.createGain();
  gain.gain.value = 0;
  tone.connect(gain).connect(place);
  tone.start();
  const starts = Array.from({ length: 12 }, (_, k) => context.currentTime + 1 + 1.03 * k);
  for (const at of starts) {
    gain.gain.setValueAtTime(0.5, at);
    gain.gain.setValueAtTime(0, at + 0.3);
  }
  const ink = canvas.getContext("2d");
  const draw = () => {
    const now = context.currentTime;
    ink.fillStyle = starts.some((at) => now >= at && now < at + 0.3) ? "#fff" : "#000";
    ink.fillRect(0, 0, 64, 64);
    requestAnimationFrame(draw);
  };
  draw();
  const tracks = [...canvas.captureStream(50).getTracks(), ...place.stream.getTracks()];
  window.pieces = [];
  window.recorder = new MediaRecorder(new MediaStream(tracks), { mimeType: "video/webm;codecs=vp8,opus" });
  window.recorder.ondataavailable = (event) => window.pieces.push(event.data);
  window.recorder.start(1000);
  await new Promise((resolve) => setTimeout(resolve, 14000));
}"""
STATISTICS: Final = """
async () => {
  for (const entry of (await peer.getStats()).values())
    if (entry.type === "inbound-rtp" && entry.kind === "video")
      return { received: entry.framesReceived, decoded: entry.framesDecoded, dropped: entry.framesDropped,
               freezes: entry.freezeCount, lost: entry.packetsLost, at_s: entry.timestamp / 1000 };
}"""


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, required=True)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--keep", type=Path, help="also keep the recording in this file")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        speech = repeated(read_waveform(arguments.audio), arguments.seconds)
        write_wav(Path(folder) / "speech.wav", speech, SAMPLE_RATE_HZ)
        recording = arguments.keep or Path(folder) / "recorded.webm"
        figures = record(arguments, Path(folder) / "speech.wav", recording)
        logger.info("%s", json.dumps(figures))
        for line in sync(arguments, speech, recording, figures["recorder_offset_ms"]):
            logger.info("%s", json.dumps(line))


def repeated(speech: Waveform, seconds: float) -> Waveform:
    """Returns speech of a length: repeated, with pauses."""
    piece = np.concatenate([speech, np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), np.float32)])
    num_samples = round(seconds * SAMPLE_RATE_HZ)
    return np.tile(piece, -(-num_samples // len(piece)))[:num_samples]


@contextmanager
def live_page(arguments: argparse.Namespace, speech: Path) -> Generator[str]:
    """Runs `pcavs live` and yields its address."""
    command = [sys.executable, "-m", "pcavs", "live", "--photo", str(arguments.photo), "--audio", str(speech)]
    command += ["--size", str(arguments.size), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True) as process:
        try:
            output = process.stdout
            assert output is not None
            while not (found := re.search(r"http://[\d.:]+", line := output.readline())):
                if not line:
                    raise SystemExit("pcavs live ended before it said its address")
            threading.Thread(target=output.read, daemon=True).start()
            yield found.group()
        finally:
            process.terminate()


def record(arguments: argparse.Namespace, speech: Path, recording: Path) -> dict[str, Any]:
    """Records the page while it speaks; returns what the page and the browser counted."""
    with live_page(arguments, speech) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--autoplay-policy=no-user-gesture-required", *(["--no-sandbox"] if os.geteuid() == 0 else [])],
        )
        page = browser.new_page()
        page.evaluate(CALIBRATE)
        recording.write_bytes(base64.b64decode(page.evaluate(STOP)))
        offset_ms = recorder_offset_ms(recording)
        page.close()
        page = browser.new_page()
        opened_s = time.monotonic()
        page.goto(address)
        while page.evaluate("document.getElementById('video').readyState") < 3:
            time.sleep(0.02)
        first_s = time.monotonic() - opened_s
        page.evaluate(RECORD)
        before = page.evaluate(STATISTICS)
        latencies = watch(page, arguments.seconds + 1)
        after, status = page.evaluate(STATISTICS), page.evaluate("fetch('status').then((answer) => answer.json())")
        recording.write_bytes(base64.b64decode(page.evaluate(STOP)))
        browser.close()
    elapsed_s = after["at_s"] - before["at_s"]
    return {
        "first_picture_s": round(first_s, 2),
        "frames_a_second": round((after["decoded"] - before["decoded"]) / elapsed_s, 2),
        "dropped_before_sending": status["dropped"],
        "dropped_by_browser": after["dropped"] - before["dropped"],
        "freezes": after["freezes"] - before["freezes"],
        "packets_lost": after["lost"] - before["lost"],
        "latency_ms": [min(latencies, default=None), max(latencies, default=None)],
        "recorder_offset_ms": offset_ms,
    }


def watch(page: Page, seconds: float) -> list[int]:
    """Waits, and returns the latencies that the page showed."""
    end_s, latencies = time.monotonic() + seconds, []
    while time.monotonic() < end_s:
        time.sleep(1)
        shown = re.match(r"\d+", page.inner_text("#latency"))
        if shown:
            latencies.append(int(shown.group()))
    return latencies


def sync(arguments: argparse.Namespace, speech: Waveform, recording: Path, offset_ms: int) -> list[dict[str, Any]]:
    """Compares a recording with the speech and with a session that is given the same speech."""
    cv2.setNumThreads(1)
    pictures, times_s, sound, sound_start_s = read_recording(recording)
    judges = load_judges(Path())
    recorded = observe(pictures, judges, str(recording)).opening
    made = observe(session_pictures(arguments, speech), judges, "the session").opening
    lines: list[dict[str, Any]] = [
        {
            "recorded_frames_a_second": round((len(times_s) - 1) / (times_s[-1] - times_s[0]), 2),
            "longest_interval_ms": round(1000 * float(np.diff(times_s).max())),
        }
    ]
    stretch = round(STRETCH_S * SAMPLE_RATE_HZ)
    for start in range(round(FIRST_S * SAMPLE_RATE_HZ), len(speech) - stretch + 1, stretch):
        heard_s = sound_shift_s(sound, speech[start : start + stretch], start) + sound_start_s
        seen_s, likeness = mouth_shift_s(recorded, times_s, made, start / SAMPLE_RATE_HZ)
        late_ms = round(1000 * (seen_s - heard_s)) - offset_ms
        lines.append({"from_s": start / SAMPLE_RATE_HZ, "picture_late_ms": late_ms, "correlation": round(likeness, 3)})
    return lines


def recorder_offset_ms(recording: Path) -> int:
    """Returns how much later the flashes of `CALIBRATE` stand in a recording than its tones: the median."""
    pictures, times_s, sound, start_s = read_recording(recording)
    bright = np.array([picture.mean() > 128 for picture in pictures])
    loud = np.abs(sound) > 0.1
    pause = round(0.2 * SAMPLE_RATE_HZ)
    tones_s = [start_s + at / SAMPLE_RATE_HZ for at in np.flatnonzero(loud) if not loud[max(0, at - pause) : at].any()]
    flashes_s = times_s[1:][bright[1:] & ~bright[:-1]]
    nearest = [min(flashes_s - tone_s, key=abs) for tone_s in tones_s]
    return round(1000 * float(np.median(nearest)))


def read_recording(path: Path) -> tuple[list[Picture], Curve, Waveform, float]:
    """Returns pictures, their times in seconds, the sound at 16 kHz, and the time of its first sample."""
    pictures, times, blocks, starts = [], [], [], []
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
    with av.open(str(path)) as container:
        for frame in container.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                pictures.append(frame.to_ndarray(format="rgb24"))
                times.append(frame.time)
            elif isinstance(frame, av.AudioFrame):
                starts.append(frame.time)
                blocks += [each.to_ndarray()[0] for each in resampler.resample(frame)]
    return pictures, np.array(times), np.concatenate(blocks), starts[0]


def session_pictures(arguments: argparse.Namespace, speech: Waveform) -> Sequence[Picture]:
    """Returns the pictures of a session that is given the speech, from its first sample on."""
    talker = load_talker(None, "cpu", threads=1)
    with talker.session(arguments.photo, size=arguments.size, pose="idle") as session:
        session.push(speech, SAMPLE_RATE_HZ)
        session.flush()
        return [frame.picture for frame in session.frames()]


def sound_shift_s(sound: Waveform, stretch: Waveform, start: int) -> float:
    """Returns how much later a stretch of speech stands in a recording than in the speech."""
    # The speech repeats, so that only places near where it should be count.
    reach = round(MAX_SHIFT_S * SAMPLE_RATE_HZ)
    first = max(0, start - reach)
    near = sound[first : start + reach + len(stretch)]
    likeness = cv2.matchTemplate(near[None], stretch[None].astype(np.float32), cv2.TM_CCOEFF_NORMED)[0]
    return (first + int(likeness.argmax()) - start) / SAMPLE_RATE_HZ


def mouth_shift_s(recorded: Curve, times_s: Curve, made: Curve, start_s: float) -> tuple[float, float]:
    """Returns how much later the mouth moves in a recording than in a session, and the correlation there."""
    rate = float(FRAME_RATE)
    wanted = made[round(start_s * rate) : round((start_s + STRETCH_S) * rate)]
    own_s = start_s + np.arange(len(wanted)) / rate
    best = (0.0, -1.0)
    for shift_s in np.arange(-MAX_SHIFT_S, MAX_SHIFT_S, STEP_S):
        if own_s[0] + shift_s < times_s[0] or own_s[-1] + shift_s > times_s[-1]:
            continue
        likeness = float(np.corrcoef(wanted, np.interp(own_s + shift_s, times_s, recorded))[0, 1])
        best = max(best, (float(shift_s), likeness), key=lambda each: each[1])
    return best


if __name__ == "__main__":
    main()
