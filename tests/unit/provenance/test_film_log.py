"""The log of films: what it holds, what it recognises, and that no film is without its line."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import pcavs
from helpers.sounds import write_wav
from pcavs.animate.origin import Origin
from pcavs.errors import InputError, OutputError
from pcavs.media.audio import read_waveform
from pcavs.media.film import FilmWriter
from pcavs.media.video import read_frames
from pcavs.provenance import film_log
from pcavs.provenance.credentials import Statement
from pcavs.provenance.film_log import record_film, search_log
from pcavs.provenance.fingerprint import PICTURE_LIMIT, SoundPrinter, picture_hash, sound_distance


def picture(seed: int, t: int, side: int = 128) -> np.ndarray:
    """A smooth random picture that moves a little."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return np.roll(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), t % 3, axis=1)


def babble(seed: int, seconds: float) -> np.ndarray:
    """Tones that change every 0.1 s."""
    rng, step = np.random.default_rng(seed), np.arange(1600) / 16_000
    tones = [
        np.sin(2 * np.pi * np.outer(rng.uniform(300, 2000, 4), step)).sum(axis=0) for _ in range(round(10 * seconds))
    ]
    return 0.1 * np.concatenate(tones)


def write_film(path: Path, seed: int = 0, seconds: float = 4.0, log: Path | None = None) -> Path:
    audio = write_wav(path.with_suffix(".wav"), babble(seed, seconds))
    said = Statement(title="A film", version="1.2", weights="w", weights_digest="f" * 64, marks=(), inputs=())
    with FilmWriter(path, audio=audio, finish=Origin(statement=said, log=log).finisher(path), overwrite=True) as film:
        for t in range(round(25 * seconds)):
            film.write(picture(seed, t))
    return path


def changed(film: Path, out: Path, side: int = 64, start: int = 30, sound_of: Path | None = None) -> Path:
    """The film at half size, cut, with a high rate factor; silent or with the sound of a file."""
    with av.open(str(out), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"crf": "34"})
        video.width = video.height = side
        audio = container.add_stream("aac", rate=16_000, layout="mono") if sound_of is not None else None
        for frame in list(read_frames(film))[start:]:
            small = cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
            container.mux(video.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None:
            audio.bit_rate = 48_000
            samples = read_waveform(sound_of)[start * 640 :]
            sound = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
            sound.rate = 16_000
            container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
    return out


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A log of three films, and the second of them."""
    folder = tmp_path_factory.mktemp("logged")
    films = [write_film(folder / f"{seed}.mp4", seed, log=folder / "log.jsonl") for seed in range(3)]
    return folder / "log.jsonl", films[1]


def test_a_line_holds_digests_and_fingerprints_and_no_name(logged: tuple[Path, Path]):
    log, film = logged
    lines = log.read_text().splitlines()
    fields = json.loads(lines[1])
    assert len(lines) == 3
    assert set(fields) == {"format", "time", "version", "weights", "sha256", "streams", "picture", "sound"}
    assert (fields["format"], fields["version"], fields["weights"]) == ("pcavs-log-1", "1.2", "f" * 64)
    assert all(len(line) < 1200 for line in lines)
    assert not any(secret in log.read_text() for secret in (str(film.parent), film.name, film.with_suffix(".wav").name))
    assert log.stat().st_mode & 0o077 == 0


def test_the_same_file_is_found_under_any_name(logged: tuple[Path, Path], tmp_path: Path):
    log, film = logged
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(film.read_bytes())
    found = pcavs.verify(copy, log=log)
    assert found.log is not None
    assert (found.log.kind, found.log.films, found.log.version) == ("exact", 3, "1.2")
    assert found.lines()[-1].startswith("log: exactly the film of 20")
    assert found.to_json()["log"]["kind"] == "exact"


def test_copied_streams_are_found_in_another_container(logged: tuple[Path, Path], tmp_path: Path):
    log, film = logged
    copy = tmp_path / "copy.mkv"
    with av.open(str(film)) as source, av.open(str(copy), "w") as target:
        streams = {stream: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream]
                target.mux(packet)
    found = pcavs.verify(copy, log=log)
    assert found.log is not None
    assert (found.log.kind, found.exit_code) == ("streams", 3)
    assert "the log says that it was made here" in found.sentence


def test_a_changed_film_is_found_and_told_from_others(logged: tuple[Path, Path], tmp_path: Path):
    log, film = logged
    match = search_log(log, changed(film, tmp_path / "changed.mp4", sound_of=film))
    assert (match.kind, match.is_film) == ("near", True)
    assert match.picture < PICTURE_LIMIT
    assert match.sound < 0.1
    assert search_log(log, write_film(tmp_path / "other.mp4", 7)).kind == "none"
    assert "of its 3 films" in search_log(log, write_film(tmp_path / "other.mp4", 7)).line()


def test_picture_or_sound_alone_are_no_film(logged: tuple[Path, Path], tmp_path: Path):
    """They may be the photograph or the speech that others have, too."""
    log, film = logged
    other = write_film(tmp_path / "other.mp4", 7)
    for path, kind in (
        (changed(film, tmp_path / "silent.mp4"), "picture"),
        (changed(film, tmp_path / "dubbed.mp4", sound_of=other), "picture"),
        (film.with_suffix(".wav"), "sound"),
    ):
        match = search_log(log, path)
        assert (match.kind, match.is_film) == (kind, False), path
        assert f"log: the {kind} alone" in match.line()


def test_silence_is_not_like_other_silence():
    for level in (0.0, 1e-6):
        printer = SoundPrinter()
        printer.add(level * np.random.default_rng(0).standard_normal(80_000).astype(np.float32))
        prints = printer.finish()
        assert sound_distance(prints, prints.phases[0]) == 1.0


def test_the_pieces_of_a_sound_do_not_matter():
    sound, printers = babble(0, 4).astype(np.float32), (SoundPrinter(), SoundPrinter())
    printers[0].add(sound)
    for start in range(0, len(sound), 777):
        printers[1].add(sound[start : start + 777])
    whole, pieces = (printer.finish().phases for printer in printers)
    assert all((one == other).all() for one, other in zip(whole, pieces, strict=True))


def test_fingerprints_never_change():
    """Films that were logged once must be found by all later versions."""
    printer = SoundPrinter()
    printer.add(babble(0, 3).astype(np.float32))
    assert [hex(each) for each in printer.finish().phases[0][:3]] == SOUND_PRINTS
    assert picture_hash(picture(0, 0)).tobytes().hex() == PICTURE_HASH


SOUND_PRINTS = ["0x900f4492", "0x1f0c470a", "0x206466bb"]
PICTURE_HASH = "03991cebf930ea51a4ff90fd71babc23d9317f3426cf43008e406fa0eed06f40"


def test_lines_of_several_processes_are_whole(logged: tuple[Path, Path], tmp_path: Path):
    log = tmp_path / "log.jsonl"
    code = "import sys; from pathlib import Path; from pcavs.provenance.film_log import record_film as record\n"
    code += "for _ in range(4): record(Path(sys.argv[1]), Path(sys.argv[2]), '1', '0' * 64)"
    running = [subprocess.Popen([sys.executable, "-c", code, str(log), str(logged[1])]) for _ in range(2)]
    assert [each.wait() for each in running] == [0, 0]
    assert [json.loads(line)["sha256"] for line in log.read_text().splitlines()] == [search_log(*logged).sha256] * 8


def test_a_log_that_cannot_be_written_is_known_before_the_film_is_made(tmp_path: Path):
    film = tmp_path / "film.mp4"
    for log, message in (
        (tmp_path, "is a folder; give a file name"),
        (tmp_path / "none" / "log", "is not a folder; make it"),
        (film, "is another output itself"),
        (Path("/dev/null"), "is a device or pipe"),
    ):
        with pytest.raises(OutputError, match=message):
            write_film(film, log=log)
        assert not list(tmp_path.glob("film.mp4*"))


def test_a_full_disk_leaves_the_log_as_it_was_and_no_film(logged: tuple[Path, Path], tmp_path: Path):
    log, film = tmp_path / "log.jsonl", tmp_path / "film.mp4"
    log.write_text(logged[0].read_text() * 100)
    before = log.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"log\.jsonl cannot be written"):
            write_film(film, log=log)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert log.read_bytes() == before
    assert not list(tmp_path.glob("film.mp4*"))


def test_an_incomplete_last_line_is_left_out_and_other_files_are_refused(logged: tuple[Path, Path], tmp_path: Path):
    log, film = tmp_path / "log.jsonl", logged[1]
    log.write_bytes(logged[0].read_bytes()[:-10])
    assert search_log(log, film).films == 2
    for text in (
        "text\n",
        "{}\n",
        "[1]\n",
        '{"format": "pcavs-log-1", "picture": "A", "sound": ""}\n',
        "[" * 9999 + "\n",
    ):
        log.write_text(text)
        with pytest.raises(InputError, match=r"log\.jsonl, line 1, is no line of a log"):
            search_log(log, film)
    with pytest.raises(InputError, match="cannot be opened"):
        search_log(tmp_path / "none", film)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_line_is_appended_where_there_are_no_locks(logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(film_log, "_lock", lambda handle: None)
    record_film(tmp_path / "log.jsonl", logged[1], "1", "0")
    assert search_log(tmp_path / "log.jsonl", logged[1]).kind == "exact"
