"""The first things one would try."""
import bine
import host


def test_join_gives_the_result():
    assert bine.spawn(lambda x: x * 2, 21).join() == 42


def test_a_deferring_host_function_looks_like_a_blocking_call():
    got = []
    waiter = bine.spawn(lambda: got.append(host.wait_for(1)))
    bine.pause()
    assert got == []
    assert host.settle(1, "here") == 0
    waiter.join()
    assert got == ["here"]


def test_an_answer_from_another_thread():
    assert host.from_thread([1, 2.5, "x", None, {"a": b"b"}]) == [1, 2.5, "x", None, {"a": b"b"}]
