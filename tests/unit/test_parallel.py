"""Items computed in threads come in their order, a few ahead, and threads end with whoever reads them."""

import threading
import time

import pytest

from pcavs.parallel import available_cores, in_order, read_ahead


def alive():
    return [each for each in threading.enumerate() if each.name.startswith("pcavs")]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(workers):
    def late_if_early(k):
        time.sleep(0.004 if k % 3 == 0 else 0)
        return k * k

    assert list(in_order(late_if_early, range(20), workers)) == [k * k for k in range(20)]
    assert not alive()


def test_few_items_are_taken_ahead():
    taken = []
    results = in_order(lambda k: k, (taken.append(k) or k for k in range(100)), 3)
    assert [next(results) for _ in range(10)] == list(range(10))
    assert len(taken) <= 10 + 2 * 3
    results.close()
    assert not alive()


def test_items_are_computed_at_the_same_time():
    together = threading.Barrier(3, timeout=10)
    assert sorted(in_order(lambda _: together.wait(), range(3), 3)) == [0, 1, 2]


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_comes_where_its_item_does(workers):
    results = in_order(lambda k: 1 / (k - 3), range(10), workers)
    assert [next(results) for _ in range(3)] == [-1 / 3, -1 / 2, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not alive()


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_a_reader_yields_what_it_reads_then_its_error(ahead):
    def items():
        yield from range(5)
        raise OSError("torn")

    read = read_ahead(items(), ahead)
    assert [next(read) for _ in range(5)] == list(range(5))
    with pytest.raises(OSError, match="torn"):
        next(read)
    assert not alive()


def test_a_closed_reader_closes_what_it_reads():
    closed, taken = threading.Event(), []

    def items():
        try:
            for k in range(1000):
                taken.append(k)
                yield k
        finally:
            closed.set()

    read = read_ahead(items(), 2)
    assert next(read) == 0
    read.close()
    assert closed.is_set()
    assert len(taken) <= 5
    assert not alive()


def test_there_is_a_core():
    assert available_cores() >= 1
