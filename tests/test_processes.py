"""Processes that work for the present one: what signals do while they are started."""

import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.popen_spawn_posix import Popen

import pytest
from conftest import processes_left

from evgen_jax.interruption import Interrupted, Interruption, signals_wait
from evgen_jax.processes import make_pool, pool_processes, stop_pool


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_a_process_is_started_leaves_none_behind(monkeypatch, number):
    launch = Popen._launch

    def interrupted(self, process):
        launch(self, process)
        signal.raise_signal(number)

    monkeypatch.setattr(Popen, "_launch", interrupted)
    pool = make_pool(2)
    with Interruption():
        with pytest.raises(Interrupted) as stop:
            pool.submit(time.sleep, 100)
        assert stop.value.number == number
        assert len(pool_processes(pool)) == len(multiprocessing.active_children()) == 1
        stop_pool(pool)
    assert not processes_left()


def test_signals_come_after_what_must_not_be_cut_in_two():
    done = []
    with Interruption(), pytest.raises(Interrupted), signals_wait():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        done.append("all")
    assert done and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


LONG = """
import click, jax, jax.numpy as jnp
from evgen_jax.cli.main import main
from evgen_jax.interruption import wait_for

class Begun:
    said = False

    def is_ready(self):
        if not self.said:  # by now somebody waits
            print("begun", flush=True)
        self.said, before = True, self.said
        return before

@click.command()
def work():
    long = jax.jit(lambda x: jax.lax.fori_loop(0, 10**9, lambda i, c: jnp.tanh(c @ c), x))
    wait_for([Begun(), long(jnp.ones((200, 200)))])

main(work)
"""
"""Computes for hours, without a moment at which Python handles signals."""


def test_a_command_ends_while_it_computes():
    with subprocess.Popen(
        [sys.executable, "-c", LONG], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as work:
        try:
            assert work.stdout.readline() == "begun\n"
            work.send_signal(signal.SIGTERM)
            _, told = work.communicate(timeout=300)
        finally:
            work.kill()
    assert work.returncode == 143 and told.split("\n")[-2:] == [
        "interrupted by SIGTERM; run the same command again to continue",
        "",
    ]


def test_other_threads_handle_no_signals():
    done = []

    def work():
        with signals_wait():
            done.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.SIG_DFL]
