"""`pcavs batch`: one talker for all rows, errors by row, finished rows skipped."""

import json

import pytest

import pcavs
from pcavs.animate import batch
from pcavs.cli import main


@pytest.fixture
def run(monkeypatch, loud_mouth, capsys):
    loads = []
    monkeypatch.setattr(batch, "load_talker", lambda *given: loads.append(given) or loud_mouth)

    def run(*words):
        loads.clear()
        with pytest.raises(SystemExit) as end:
            main(["batch", *map(str, words), "--outside"])  # the face lies elsewhere
        return end.value.code, capsys.readouterr(), len(loads)

    return run


@pytest.fixture
def jobs(tmp_path, face, make_wav):
    make_wav(0.3)
    rows = [
        {"identity": str(face), "audio": "speech.wav", "out": "one.mp4", "size": 32},
        {"identity": "nobody.jpg", "audio": "speech.wav", "out": "two.mp4"},
        {"identity": str(face), "audio": "speech.wav", "out": "three.mp4", "size": 32, "sise": 3},
        {"identity": str(face), "audio": "speech.wav", "out": "four.mp4", "size": 32, "end": 0.24},
    ]
    path = tmp_path / "jobs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_row_that_fails_does_not_stop_the_others(run, jobs):
    code, said, loads = run(jobs)
    assert code == 1
    assert loads == 1
    assert "row 2: " in said.out
    assert "nobody.jpg" in said.out
    assert "row 3: no such setting: sise; did you mean size?" in said.out
    assert "2 films made, 0 finished earlier, 2 failed, of 4" in said.out
    films = sorted(path.name for path in jobs.parent.glob("*.mp4*"))
    assert films == ["four.mp4", "one.mp4"]


def test_finished_rows_are_skipped(run, jobs):
    run(jobs)
    (jobs.parent / "four.mp4").unlink()
    before = (jobs.parent / "one.mp4").stat().st_mtime_ns
    code, said, _ = run(jobs)
    assert code == 1
    assert "1 films made, 1 finished earlier, 2 failed" in said.out
    assert (jobs.parent / "one.mp4").stat().st_mtime_ns == before
    assert "2 films made, 0 finished earlier" in run(jobs, "--again")[1].out


def test_success_is_exit_code_0_and_finished_rows_load_nothing(run, jobs):
    rows = jobs.read_text().splitlines()
    jobs.write_text("\n".join([rows[0], rows[3]]))
    assert run(jobs)[0] == 0
    code, said, loads = run(jobs)
    assert (code, loads) == (0, 0)
    assert "0 films made, 2 finished earlier" in said.out
    journal = [json.loads(line) for line in (jobs.parent / "jobs.jsonl.journal.jsonl").read_text().splitlines()]
    assert [row["done"] for row in journal] == [True, True]


def test_a_batch_may_require_consent_in_every_row(run, jobs):
    rows = [json.loads(line) for line in jobs.read_text().splitlines()]
    (jobs.parent / "consent.json").write_text('{"who": "A", "for": "this film"}')
    jobs.write_text("\n".join([json.dumps(rows[0]), json.dumps(rows[3] | {"consent": "consent.json"})]))
    code, said, _ = run(jobs, "--require-consent")
    assert code == 1
    assert "row 1: no consent; this batch requires a record" in said.out
    assert "1 films made" in said.out
    assert [path.name for path in jobs.parent.glob("*.mp4")] == ["four.mp4"]


def test_a_changed_row_is_made_again_only_if_it_may_overwrite(run, jobs):
    rows = [json.loads(line) for line in jobs.read_text().splitlines()]
    jobs.write_text(json.dumps(rows[0]))
    run(jobs)
    jobs.write_text(json.dumps(rows[0] | {"size": 48}))
    assert "one.mp4 exists already" in run(jobs)[1].out
    jobs.write_text(json.dumps(rows[0] | {"size": 48, "overwrite": True}))
    assert run(jobs)[0] == 0


def test_a_truncated_journal_is_accepted(run, jobs):
    run(jobs)
    journal = jobs.parent / "jobs.jsonl.journal.jsonl"
    journal.write_text(journal.read_text()[:-20])
    assert "finished earlier" in run(jobs)[1].out


def test_a_missing_list_is_refused(run, tmp_path):
    code, said, loads = run(tmp_path / "none.csv")
    assert (code, loads) == (1, 0)
    assert "none.csv cannot be opened" in said.err


def test_a_batch_replaces_no_input_of_its_rows(run, tmp_path, face, make_wav):
    make_wav(0.3)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(face.read_bytes())
    row = {"identity": "photo.jpg", "audio": "speech.wav", "size": 32, "overwrite": True}
    rows = [row | {"out": name} for name in ("one.mp4", "./one.mp4", "photo.jpg", "jobs.jsonl")]
    rows += [row | {"identity": str(face), "out": "photo.jpg"}]
    jobs = tmp_path / "jobs.jsonl"
    jobs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = jobs.read_bytes()
    lines = run(jobs)[1].out.splitlines()
    assert [line.partition("is ")[2] for line in lines[:4]] == [
        "the film of row 1 itself; choose another name",
        "the picture of the person of row 1 itself; choose another name",
        "the list of jobs itself; choose another name",
        "the picture of the person of row 1 itself; choose another name",
    ]
    assert (photo.read_bytes(), jobs.read_bytes()) == (face.read_bytes(), text)


def test_a_film_that_a_later_row_uses_may_be_made_again(run, tmp_path, face, make_wav):
    make_wav(0.3)
    row = {"identity": str(face), "audio": "speech.wav", "size": 256}
    jobs = tmp_path / "jobs.jsonl"
    rows = [row | {"out": "a.mp4"}, row | {"out": "b.mp4", "pose": "a.mp4"}]
    jobs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for _ in range(2):
        assert "2 films made, 0 finished earlier, 0 failed" in run(jobs, "--again")[1].out


def test_every_film_is_in_the_log(run, jobs):
    log = jobs.parent / "log.jsonl"
    assert run(jobs, "--log", log)[0] == 1
    assert len(log.read_text().splitlines()) == 2
    found = pcavs.verify(jobs.parent / "four.mp4", log=log).log
    assert found is not None
    assert (found.kind, found.weights) == ("exact", "0" * 64)


def test_a_log_that_cannot_be_written_stops_the_batch_before_its_first_film(run, jobs):
    for log, message in ((jobs.parent, "is a folder"), (jobs, "is the list of jobs itself")):
        code, said, loads = run(jobs, "--log", log)
        assert (code, loads) == (1, 0)
        assert message in said.err
        assert said.err.count("\n") == 1
    assert not list(jobs.parent.glob("*.mp4*"))
