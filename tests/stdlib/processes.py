"""Waiting for child processes suspends the micro-thread alone; what is reaped is what the script has asked for.
Nothing here may take time: a child that is to live waits for its pipe to be closed."""
import os
import signal
import subprocess
import sys
import tempfile
import threading

import bine
import host

SH = "/bin/sh"


class Child:
    """A process that ends with `code` once it is released."""

    def __init__(self, code=0, group=None):
        read, self.write = os.pipe()
        attributes = {} if group is None else {"setpgroup": group}
        self.pid = os.posix_spawn(SH, ["sh", "-c", f"read x; exit {code}"], os.environ,
                                  file_actions=[(os.POSIX_SPAWN_DUP2, read, 0)], **attributes)
        os.close(read)

    def release(self):
        os.close(self.write)


def is_gone(pid):
    """No child of that number, not even a zombie."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def while_waiting(wait, child):
    """What wait() returns, called on a micro-thread that waits for a child while others run."""
    micro = bine.spawn(wait)
    turns = 0
    while turns < 5:
        bine.pause()
        turns += 1
    assert not micro.done
    child.release()
    return micro.join()


def test_waitpid_suspends_its_micro_thread_alone():
    child = Child(3)
    pid, status = while_waiting(lambda: os.waitpid(child.pid, 0), child)
    assert (pid, os.waitstatus_to_exitcode(status)) == (child.pid, 3)
    assert is_gone(child.pid)


def test_wait4_gives_the_resources_too():
    child = Child(4)
    pid, status, usage = while_waiting(lambda: os.wait4(child.pid, 0), child)
    assert (pid, os.waitstatus_to_exitcode(status)) == (child.pid, 4)
    assert usage.ru_utime >= 0
    child = Child(5)
    assert while_waiting(lambda: os.wait4(options=0, pid=child.pid), child)[0] == child.pid


def test_wait_and_wait3_take_whichever_ends():
    first, second = Child(1), Child(2)
    pid, status = while_waiting(os.wait, second)
    assert (pid, os.waitstatus_to_exitcode(status)) == (second.pid, 2)
    pid, status, usage = while_waiting(lambda: os.wait3(0), first)
    assert (pid, os.waitstatus_to_exitcode(status)) == (first.pid, 1)


def test_two_in_wait_get_one_child_each():
    children = Child(), Child()
    micros = bine.spawn(os.wait), bine.spawn(os.wait)
    bine.pause()
    for child in children:
        child.release()
    assert {micro.join()[0] for micro in micros} == {child.pid for child in children}


def test_a_process_group_is_waited_for():
    leader = Child(0, group=0)
    other = Child()
    pid, status = while_waiting(lambda: os.waitpid(-leader.pid, 0), leader)
    assert pid == leader.pid
    other.release()
    os.waitpid(other.pid, 0)


def test_waitid_leaves_what_it_was_told_to_leave():
    child = Child(6)
    seen = while_waiting(lambda: os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT), child)
    assert (seen.si_pid, seen.si_status, seen.si_code) == (child.pid, 6, os.CLD_EXITED)
    assert os.waitid(os.P_PID, child.pid, os.WEXITED).si_pid == child.pid
    assert is_gone(child.pid)


def test_waitid_takes_a_descriptor_of_a_process():
    child = Child(7)
    fd = os.pidfd_open(child.pid)
    assert while_waiting(lambda: os.waitid(os.P_PIDFD, fd, os.WEXITED), child).si_status == 7
    os.close(fd)


def test_one_that_stops_is_seen():
    child = Child()
    micro = bine.spawn(os.waitpid, child.pid, os.WUNTRACED)
    bine.pause()
    os.kill(child.pid, signal.SIGSTOP)
    pid, status = micro.join()
    assert os.WIFSTOPPED(status)
    os.kill(child.pid, signal.SIGCONT)
    assert os.WIFCONTINUED(os.waitpid(child.pid, os.WCONTINUED)[1])
    child.release()
    os.waitpid(child.pid, 0)


def test_nothing_is_reaped_but_what_was_asked_for():
    other, mine = Child(1), Child(2)
    other.release()
    while os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        bine.pause()
    while_waiting(lambda: os.waitpid(mine.pid, 0), mine)
    assert not is_gone(other.pid)
    os.waitpid(other.pid, 0)


def test_without_children_it_says_so():
    for wait in (os.wait, lambda: os.waitpid(-1, 0), lambda: os.waitpid(os.getpid(), 0), lambda: os.wait3(0),
                 lambda: os.waitid(os.P_ALL, 0, os.WEXITED)):
        try:
            wait()
        except ChildProcessError as error:
            assert error.args == (10, "No child processes"), error.args
        else:
            raise AssertionError("there is no child")


def test_bad_arguments_are_told_of_as_ever():
    for call, args, error in ((os.waitpid, (), TypeError), (os.waitpid, ("1", 0), TypeError),
                              (os.waitpid, (1 << 70, 0), OverflowError), (os.wait3, (), TypeError),
                              (os.wait4, (1, 2, 3), TypeError), (os.waitid, (1,), TypeError),
                              (os.waitpid, (1, 1 << 20), OSError), (os.system, (3,), TypeError),
                              (os.system, ("a\0b",), ValueError), (os.waitid, (99, 1, os.WEXITED), OSError)):
        try:
            call(*args)
        except error as caught:
            assert "bine" not in str(caught), caught
        else:
            raise AssertionError(f"{call}{args} is taken")


def test_a_cancelled_wait_reaps_nothing():
    child = Child(8)
    for wait in (lambda: os.waitpid(child.pid, 0), os.wait, lambda: os.wait3(0)):
        micro = bine.spawn(wait)
        bine.pause()
        micro.cancel()
        try:
            micro.join()
        except bine.Cancelled:
            pass
    child.release()
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 8


def test_many_cancelled_waits_cost_one_thread():
    child = Child(9)
    for i in range(50):
        micro = bine.spawn(os.wait)
        bine.pause()
        micro.cancel()
        try:
            micro.join()
        except bine.Cancelled:
            pass
    names = [open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")]
    assert names.count("bine children\n") == 1, names
    assert while_waiting(os.wait, child)[0] == child.pid


def test_an_os_thread_waits_by_itself():
    child = Child(10)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(os.waitpid(child.pid, 0)[0]))
    thread.start()
    child.release()
    thread.join()
    assert seen == [child.pid]


def test_system_gives_what_the_shell_came_to():
    assert os.system("exit 3") == 3 << 8
    assert os.system("kill -9 $$") == 9
    assert os.system(b"exit 4") == 4 << 8
    assert os.system(command="-no-such-command 2>/dev/null") == 127 << 8


def test_system_suspends_its_micro_thread_alone():
    read, write = os.pipe()
    os.set_inheritable(read, True)
    micro = bine.spawn(os.system, f"read x </dev/fd/{read}; exit 5")
    for i in range(5):
        bine.pause()
    assert not micro.done
    os.close(write)
    assert micro.join() == 5 << 8
    os.close(read)


def test_a_cancelled_system_leaves_no_zombie():
    read, write = os.pipe()
    os.set_inheritable(read, True)
    micro = bine.spawn(os.system, f"read x </dev/fd/{read}")
    bine.pause()
    bine.pause()
    micro.cancel()
    try:
        micro.join()
    except bine.Cancelled:
        pass
    os.close(write)
    while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        bine.pause()
    os.system("exit 0")
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        pass
    else:
        raise AssertionError("a shell is left")
    os.close(read)


def test_the_audit_hooks_hear_of_system():
    events = []
    sys.addaudithook(lambda event, args: events.append((event, args)) if event == "os.system" else None)
    os.system("true")
    assert events == [("os.system", (b"true",))], events


def test_a_wait_with_a_timeout_times_out():
    child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    micro = bine.spawn(child.wait, 3600)
    try:
        micro.join()
    except subprocess.TimeoutExpired as error:
        assert (error.cmd, error.timeout) == (["/bin/cat"], 3600)
    else:
        raise AssertionError("it has ended")
    child.stdin.close()
    assert child.wait() == 0
    assert child.wait(timeout=5) == 0


def test_what_has_ended_needs_no_wait():
    child = subprocess.Popen(["/bin/true"])
    while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        bine.pause()
    assert child.wait(timeout=3600) == 0


def test_what_never_has_to_wait_gives_the_others_turns():
    living, dead = Child(), Child()
    dead.release()
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)

    def none():
        try:
            os.wait3(7 << 20)
        except OSError:
            pass
    for call in (lambda: os.waitpid(living.pid, os.WNOHANG),
                 lambda: os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT), none):
        turns = []
        other = bine.spawn(lambda: [turns.append(bine.pause()) for _ in range(3)])
        for _ in range(64 * 4):
            call()
        assert len(turns) == 3
        other.join()
    living.release()
    os.waitpid(living.pid, 0)
    os.waitpid(dead.pid, 0)


def test_a_preexec_fn_may_use_files_and_threads():
    def prepare():
        with open(path, "a") as file:
            print(len(os.listdir("/")), len(bine.all()), file=file, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        others = [bine.spawn(os.listdir, "/") for _ in range(8)]
        others.append(bine.spawn(bine.sleep, 0.001))
        bine.pause()
        subprocess.run([SH, "-c", "exit 0"], preexec_fn=prepare, check=True)
        others.append(bine.spawn(bine.sleep, 1))
        host.on_host(lambda: subprocess.run([SH, "-c", "exit 0"], preexec_fn=prepare, check=True).returncode)
        with open(path) as file:
            files, alone, again, all_of_them = map(int, file.read().split())
    assert files == again == len(os.listdir("/"))
    assert alone == 1 and all_of_them >= 2
    for other in others:
        other.join()


def test_popen_waits_as_it_looks():
    import inspect
    assert list(inspect.signature(subprocess.Popen._wait).parameters) == ["self", "timeout"]


def test_two_hundred_spawns_leave_no_zombie_and_no_descriptor():
    before = sorted(os.listdir("/proc/self/fd"))

    def spawn(i):
        return subprocess.run(["/bin/sh", "-c", f"exit {i % 7}"]).returncode
    for i in range(0, 200, 20):
        assert bine.parallel_map(spawn, range(i, i + 20)) == [n % 7 for n in range(i, i + 20)]
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        pass
    else:
        raise AssertionError("a child is left")
    after = sorted(os.listdir("/proc/self/fd"))
    assert len(after) <= len(before), (before, after)
