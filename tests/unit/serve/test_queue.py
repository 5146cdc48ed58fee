"""The queue: leases, attempts, turns; a job is never anybody's twice at once."""

import threading

import pytest
from sqlalchemy import insert, update

from pcavs.serve.database import Database
from pcavs.serve.people import Limits, People
from pcavs.serve.queue import Queue
from pcavs.serve.tables import jobs, now_s


@pytest.fixture
def queue(database):
    return Queue(database, tries=3, lease_s=30.0)


def add(database, name, owner="local", **values):
    row = {"id": name, "owner": owner, "state": "queued", "request": "{}", "created_at": now_s(), "expires_at": 9e9}
    with database.write() as connection:
        connection.execute(insert(jobs).values(**row | values))


def let_leases_end(database):
    with database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.state == "running").values(lease_until=now_s() - 1))


def state(database, name):
    with database.read() as connection:
        return connection.execute(jobs.select().where(jobs.c.id == name)).one()


def test_jobs_are_taken_in_their_order(database, queue):
    for name in "abc":
        add(database, name)
    assert [queue.take("w").id for _ in range(3)] == ["a", "b", "c"]
    assert queue.take("w") is None


def test_a_result_is_stored_once_and_by_the_holder_only(database, queue):
    add(database, "a")
    first = queue.take("one")
    let_leases_end(database)
    second = queue.take("two")
    assert second.id == "a"
    assert second.attempt == 2
    published = []
    assert not queue.renew(first, "rendering", 1, 2)
    assert not queue.finish(first, {}, "films/one", 1, lambda: published.append("one"))
    assert not queue.fail(first, "no")
    queue.give_back(first)
    assert queue.finish(second, {"frames": 3}, "films/two", 1, lambda: published.append("two"))
    assert not queue.finish(second, {}, "films/two", 1, lambda: published.append("again"))
    assert published == ["two"]
    assert (state(database, "a").state, state(database, "a").film_key) == ("done", "films/two")


def test_a_result_that_cannot_be_published_is_not_stored(database, queue):
    add(database, "a")
    job = queue.take("w")

    def fail():
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        queue.finish(job, {}, "films/a", 1, fail)
    assert state(database, "a").state == "running"
    assert queue.renew(job, "rendering", 1, 2)


def test_renewing_keeps_a_job_and_stores_progress(database, queue):
    add(database, "a")
    job = queue.take("w")
    assert queue.renew(job, "rendering", 3, 9)
    assert queue.take("other") is None
    row = state(database, "a")
    assert (row.activity, row.steps_done, row.steps) == ("rendering", 3, 9)


def test_a_job_whose_workers_die_is_set_aside(database, queue):
    add(database, "a", webhook="https://told.example/")
    for attempt in (1, 2, 3):
        assert queue.take(f"w{attempt}").attempt == attempt
        queue.lose_worker(f"w{attempt}")
    assert queue.take("w4") is None
    row = state(database, "a")
    assert row.state == "failed"
    assert row.error.startswith("the worker ended 3 times without a result")


def test_a_job_given_back_does_not_count(database, queue):
    add(database, "a")
    for _ in range(5):
        job = queue.take("w")
        assert job.attempt == 1
        queue.give_back(job)
    assert queue.take("w").attempt == 1


def test_a_clock_that_is_set_back_keeps_no_job_for_ever(database, queue):
    add(database, "a")
    queue.take("w")
    with database.write() as connection:
        connection.execute(update(jobs).values(lease_until=now_s() + 3600))
    assert queue.take("other").attempt == 2


def test_owners_take_turns(database, queue):
    people = People(database)
    for name in ("one", "two", "three"):
        people.add(name, Limits())
    one, two, three = (row.id for row in people.all())
    for number in range(6):
        add(database, f"one {number}", one)
    for number in range(2):
        add(database, f"two {number}", two)
    add(database, "three 0", three)
    taken = []
    for _ in range(9):
        job = queue.take("w")
        taken.append(job.id)
        queue.finish(job, {}, "films/x", 1, lambda: None)
    assert sorted(each.split()[0] for each in taken[:3]) == ["one", "three", "two"]
    assert sorted(each.split()[0] for each in taken[3:5]) == ["one", "two"]
    assert taken[5:] == ["one 2", "one 3", "one 4", "one 5"]


def test_who_has_fewest_running_is_served_first(database, queue):
    people = People(database)
    for name in ("one", "two"):
        people.add(name, Limits())
    one, two = (row.id for row in people.all())
    for number in range(4):
        add(database, f"one {number}", one)
    first = [queue.take("w").id for _ in range(2)]
    assert first == ["one 0", "one 1"]
    for number in range(3):
        add(database, f"two {number}", two)
    assert [queue.take("w").id for _ in range(3)] == ["two 0", "two 1", "one 2"]


def test_previews_come_first_among_the_jobs_of_one_owner(database, queue):
    add(database, "film")
    add(database, "preview", preview=1)
    assert queue.take("w").id == "preview"


def test_many_workers_take_every_job_once(database):
    for number in range(40):
        add(database, str(number))
    taken, lock = [], threading.Lock()

    def work(name):
        queue = Queue(database)
        while (job := queue.take(name)) is not None:
            with lock:
                taken.append(job.id)
            assert queue.finish(job, {}, "films/x", 1, lambda: None)

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken, key=int) == [str(number) for number in range(40)]


def test_a_restart_loses_nothing(tmp_path):
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    first = Database(url)
    People(first)
    add(first, "a")
    add(first, "b")
    Queue(first).take("w")
    first.close()
    second = Database(url)
    People(second)
    assert (state(second, "a").state, state(second, "b").state) == ("running", "queued")
    let_leases_end(second)
    assert {Queue(second).take("v").id for _ in range(2)} == {"a", "b"}
    second.close()
