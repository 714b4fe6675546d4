"""Signals that come at a moment in which nothing may be interrupted: put off, none lost, and handlers there again afterwards."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import numpy as np  # noqa: F401  starts threads, which take what the main one blocks
import pytest

from interp.signals import signals_put_off, without_ctrl_c


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("inside", [signals_put_off, without_ctrl_c])
def test_an_interruption_comes_when_the_moment_is_over(inside) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    whole = False

    def moment() -> None:
        nonlocal whole
        with inside():
            signal.raise_signal(signal.SIGINT)
            whole = True

    with pytest.raises(KeyboardInterrupt):
        moment()
    assert whole
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_every_signal_is_dealt_with_once_and_in_order_by_its_own_handler() -> None:
    came: list[str] = []
    signal.signal(signal.SIGUSR1, lambda *_: came.append("usr1"))
    signal.signal(signal.SIGINT, lambda *_: came.append("int"))
    with signals_put_off():
        with signals_put_off():  # another moment inside
            for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGUSR1):
                signal.raise_signal(number)
        assert not came
    assert came == ["usr1", "int", "usr1"]


class OtherError(Exception):
    """What a handler may raise."""


def raising(*_: object) -> None:
    raise OtherError


def test_all_are_dealt_with_though_some_raise() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGUSR1, raising)

    def moment() -> None:
        with signals_put_off():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGUSR1)

    with pytest.raises(OtherError) as caught:
        moment()
    assert isinstance(caught.value.__context__, KeyboardInterrupt)


@pytest.mark.parametrize("when", [0, 1, 2, 3])
def test_a_signal_that_comes_while_handlers_are_replaced_or_put_back_leaves_them_as_they_were(when, monkeypatch) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGUSR1, raising)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)}
    replace, calls = signal.signal, []

    def interrupted(number, handler):
        if number in before:
            calls.append(number)
            if len(calls) == when + 1:
                signal.raise_signal(signal.SIGUSR1)
        return replace(number, handler)

    def moment() -> None:
        with signals_put_off():
            pass

    with monkeypatch.context() as patched:
        patched.setattr(signal, "signal", interrupted)
        with pytest.raises(OtherError):
            moment()
    # One of them may not be put back where what puts it back is interrupted before it does: it does what the other did.
    now = {number: signal.getsignal(number) for number in before}
    assert now == before or when in (2, 3)
    with pytest.raises(OtherError):
        signal.raise_signal(signal.SIGUSR1)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_what_fails_inside_leaves_the_handlers_as_they_were() -> None:
    own = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="inside"), signals_put_off():
        raise ValueError("inside")
    assert signal.getsignal(signal.SIGINT) is own


def test_what_is_ignored_or_left_to_the_system_stays_so_and_other_threads_put_nothing_off() -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    found: list[object] = []

    def elsewhere() -> None:
        with signals_put_off(), without_ctrl_c():
            found.append(signal.getsignal(signal.SIGINT))

    with signals_put_off():
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]
