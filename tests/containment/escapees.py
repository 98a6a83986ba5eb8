"""Processes that try to outlive the program they come from.

    escapees.py KIND HOME THEN

Each of them has the FIFO HOME/life open for writing as long as it lives, and writes its id to
HOME/pids. When all of a kind are there HOME/ready is made; then the main program stays, exits or
floods its output. Nothing here lives longer than a few minutes, nor after HOME/stop has appeared
where it goes on forking.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time

kind, home, then = sys.argv[1:]
LIFE = os.open(f"{home}/life", os.O_WRONLY)
os.set_inheritable(LIFE, True)
LONG = 300
END = time.monotonic() + 60


def tell():
    with open(f"{home}/pids", "a") as pids:
        pids.write(f"{os.getpid()}\n")


def told():
    try:
        with open(f"{home}/pids") as pids:
            return pids.read().split()
    except FileNotFoundError:
        return []


def sleep():
    tell()
    time.sleep(LONG)


def fork(body):
    pid = os.fork()
    if pid:
        return pid
    try:
        body()
    finally:
        os._exit(0)


def wait_for(fact):
    while not fact():
        time.sleep(0.005)


def orphan(body):
    """Forks twice and lets the one in between end, so that init is the parent."""
    between = fork(lambda: fork(body))
    os.waitpid(between, 0)


def own_group():
    os.setpgid(0, 0)
    sleep()


def own_session():
    os.setsid()
    sleep()


def exec_cleared():
    tell()
    os.execve("/bin/sleep", ["sleep", str(LONG)], {})


def is_cleared():
    for pid in told():
        with open(f"/proc/{pid}/environ", "rb") as environ:
            if environ.read():
                return False
    return bool(told())


def session_cleared():
    os.setsid()
    exec_cleared()


def session_unmarked():
    # RLIMIT_LOCKS, which the module does not name.
    _, hard = resource.getrlimit(10)
    resource.setrlimit(10, (hard, hard))
    session_cleared()


def ignores_signals():
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    sleep()


def goes_on():
    return time.monotonic() < END and not os.path.exists(f"{home}/stop")


def hop(before=lambda: None):
    """Lives for a moment in each of many processes."""
    before()
    tell()
    while goes_on():
        if os.fork():
            os._exit(0)
        before()
        time.sleep(0.001)


def fan_out():
    """Always has some children that live for a moment."""
    tell()
    while goes_on():
        brood = [fork(lambda: time.sleep(0.002)) for _ in range(20)]
        for pid in brood:
            os.waitpid(pid, 0)


def family():
    """Ten times ten processes below this one."""
    for _ in range(9):
        fork(sleep)
    sleep()


def stands_still():
    tell()
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(LONG)


def has_another_name():
    os.setsid()
    wait_for(lambda: os.getppid() != between)
    ctypes.CDLL(None).prctl(15, b"a) R 1 1\n1", 0, 0, 0)
    sleep()


def first_thread_ends():
    threading.Thread(target=sleep).start()
    wait_for(lambda: str(os.getpid()) in told())
    # exit, the system call: it ends this thread alone.
    ctypes.CDLL(None).syscall(60 if os.uname().machine == "x86_64" else 93, 0)


def is_stopped():
    with open(f"/proc/{told()[0]}/stat") as stat:
        return stat.read().rsplit(") ", 1)[1].startswith("T")


def is_headless():
    with open(f"/proc/{told()[0]}/stat") as stat:
        return stat.read().rsplit(") ", 1)[1].startswith("Z")


count = 1
also = lambda: True

if kind == "background":
    count = 3
    for _ in range(count):
        fork(sleep)
elif kind == "pipeline":
    line = f"echo $$ >>{home}/pids; sleep {LONG} | sleep {LONG} | sleep {LONG}"
    subprocess.Popen(["/bin/sh", "-c", line], close_fds=False)
elif kind == "own_group":
    fork(own_group)
elif kind == "own_session":
    fork(own_session)
elif kind == "daemon":
    orphan(own_session)
elif kind == "ignores_signals":
    fork(ignores_signals)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif kind == "fork_loop":
    fork(fan_out)
    fork(hop)
    count = 2
elif kind == "session_loop":
    fork(lambda: hop(os.setsid))
elif kind == "tree_of_200":
    count = 200
    for _ in range(20):
        fork(family)
elif kind == "stopped":
    fork(stands_still)
    also = is_stopped
elif kind == "renamed_orphan":
    def outer():
        global between
        between = os.getpid()
        fork(has_another_name)
    os.waitpid(fork(outer), 0)
elif kind == "cleared":
    fork(exec_cleared)
    also = is_cleared
elif kind == "cleared_session":
    fork(session_cleared)
    also = is_cleared
elif kind == "cleared_orphan":
    orphan(exec_cleared)
    also = is_cleared
elif kind == "cleared_daemon":
    orphan(session_cleared)
    also = is_cleared
elif kind == "unmarked_session":
    fork(session_unmarked)
    also = is_cleared
elif kind == "unmarked_daemon":
    orphan(session_unmarked)
    also = is_cleared
elif kind == "headless":
    fork(first_thread_ends)
    also = is_headless
else:
    sys.exit(f"no such kind: {kind}")



def is_ready():
    try:
        return len(told()) >= count and also()
    except OSError:
        # It is executing another program just now, and has nothing to look at.
        return False


wait_for(is_ready)
with open(f"{home}/ready", "w") as ready:
    ready.write("ready\n")

if then == "exit":
    os._exit(0)
while then == "flood":
    os.write(1, b"x" * 4095 + b"\n")
time.sleep(LONG)
