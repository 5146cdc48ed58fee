"""Lists of jobs: rows become options, errors are one line, and no input crashes the reader."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcavs.animate.batch import Job, film_options, read_jobs, run
from pcavs.animate.head_motion import read_pose
from pcavs.animate.options import BatchOptions
from pcavs.errors import InputError


def options(folder=Path("jobs"), **fields):
    return film_options(Job(1, {"identity": "a.jpg", "audio": "b.wav", "out": "c.mp4", **fields}), folder)


def test_file_names_are_relative_to_the_list():
    made = options(references="d.jpg; e.jpg", report="f.json")
    assert made.identity == Path("jobs/a.jpg")
    assert made.references == (Path("jobs/d.jpg"), Path("jobs/e.jpg"))
    assert (made.out, made.report) == (Path("jobs/c.mp4"), Path("jobs/f.json"))


def test_values_take_the_type_of_the_setting():
    made = options(size="128", start="0.5", no_blinks="yes", relative=False, seed=3, end="", missing="hold")
    assert (made.size, made.start, made.no_blinks, made.relative, made.seed) == (128, 0.5, True, False, 3)
    assert made.end is None
    assert made.missing == "hold"


def test_a_pose_is_a_file_if_one_exists_and_words_otherwise(tmp_path):
    assert options(tmp_path, pose="lively").pose == Path("lively")
    assert options(tmp_path, pose="yaw=20").pose == Path("yaw=20")
    (tmp_path / "lively").touch()
    assert options(tmp_path, pose="lively").pose == tmp_path / "lively"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"posee": "x"}, "no such setting: posee; did you mean pose?"),
        ({"weights": "x"}, "it is the same for all rows"),
        ({"size": "big"}, "size is 'big'; give a number"),
        ({"full_frame": "perhaps"}, "full_frame is 'perhaps'"),
        ({"identity": ""}, "the setting identity is missing"),
        ({"out": None}, "the setting out is missing"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(fields, message):
    with pytest.raises(InputError, match="^[^\n]*$") as error:
        options(**fields)
    assert message in str(error.value)


def test_csv_and_jsonl_are_equivalent(tmp_path):
    (tmp_path / "jobs.csv").write_text('identity,audio,out\na.jpg,b.wav,c.mp4\n\na.jpg,"d, e.wav",f.mp4\n')
    (tmp_path / "jobs.jsonl").write_text(
        '{"identity": "a.jpg", "audio": "b.wav", "out": "c.mp4"}\n\n'
        '{"identity": "a.jpg", "audio": "d, e.wav", "out": "f.mp4"}\n'
    )
    assert list(read_jobs(tmp_path / "jobs.csv")) == list(read_jobs(tmp_path / "jobs.jsonl"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("jobs.txt", "a", "neither .csv nor .jsonl"),
        ("jobs.csv", "", "no rows"),
        ("jobs.csv", "identity,out\n", "no rows"),
        ("jobs.csv", "identity,out\na\n", "row 1, has 1 columns and the first line 2"),
        ("jobs.csv", 'identity\n"a', "is not CSV"),
        ("jobs.jsonl", "{}\n[", "line 2, is not JSON"),
        ("jobs.jsonl", "3", "line 1, is not a JSON object"),
    ],
)
def test_an_unreadable_list_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as error:
        list(read_jobs(tmp_path / name))
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["a\0b", "a" * 400, "\ud800"])
def test_a_pose_that_is_no_possible_file_name_is_words(tmp_path, name):
    assert options(tmp_path, pose=name).pose == Path(name)
    with pytest.raises(InputError):
        read_pose(Path(name), relative=False)


def test_a_damaged_journal_is_read(tmp_path):
    jobs = tmp_path / "jobs.jsonl"
    jobs.write_text('{"identity": "none.jpg"}\n')
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(b"[" * 5000 + b"\n\xff\n3\n")
    report = run(BatchOptions(jobs=jobs, journal=journal))
    assert (report.made, report.failed) == (0, 1)


@given(st.binary(max_size=200), st.sampled_from([".csv", ".jsonl"]))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_crash_the_reader(tmp_path, data, ending):
    path = tmp_path / f"jobs{ending}"
    path.write_bytes(data)
    with contextlib.suppress(InputError):
        for job in read_jobs(path):
            with contextlib.suppress(InputError):
                film_options(job, tmp_path)


@pytest.mark.parametrize(
    "fields",
    [
        {"identity": "../a.jpg"},
        {"audio": "/etc/passwd"},
        {"out": "sub/../../c.mp4"},
        {"out": "link/c.mp4"},
        {"pose": "../secret.json"},
        {"face": "../secret.json"},
        {"references": "d.jpg;../e.jpg"},
        {"report": "/tmp/f.json"},
    ],
)
def test_rows_name_no_files_outside_of_the_folder_of_their_list(tmp_path, monkeypatch, fields):
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    (tmp_path / "secret.json").touch()
    with pytest.raises(InputError, match="lies outside of the folder .*jobs; move it there or add --outside"):
        options(folder, **fields)
    row = Job(1, {"identity": "a.jpg", "audio": "b.wav", "out": "c.mp4", **fields})
    assert film_options(row, folder, outside=True).outside


def test_a_row_cannot_allow_itself_more(tmp_path):
    with pytest.raises(InputError, match="no such setting: outside.*it is the same for all rows"):
        options(tmp_path, outside="true")


def test_words_are_not_read_as_files_of_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "lively").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="lies outside of the folder jobs"):
        options(pose="lively")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_of_every_country_is_read(tmp_path, delimiter):
    rows = [["identity", "audio", "out", "end"], ["a.jpg", "b.wav", "c.mp4", "0,5" if delimiter != "," else "0.5"]]
    path = tmp_path / "jobs.csv"
    path.write_text("\n".join(delimiter.join(row) for row in rows) + "\n")
    (job,) = read_jobs(path)
    assert film_options(job, tmp_path).end == 0.5


def test_times_may_have_minutes():
    assert (options(start="0:01", end="1:02.5").start, options(end="1:02.5").end) == (1.0, 62.5)
    with pytest.raises(InputError, match="end is '1:99'; give a number"):
        options(end="1:99")
