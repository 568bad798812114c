"""The command bine beside python3 of the same version.

command.py BINE CASE runs one test_... below (see tests/CMakeLists.txt). Each runs both programs
alike and compares what comes out; nothing here waits by the clock.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

BINE = sys.argv[1]
PYTHON = sys.executable
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="bine-test-"))
TIMEOUT = 30


def write(name, text):
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def run(program, *args, stdin=""):
    done = subprocess.run([program, *args], input=stdin, capture_output=True, text=True, cwd=FOLDER, timeout=TIMEOUT)
    return done.returncode, done.stdout, done.stderr


def same(*args, stdin="", stderr=True):
    """Both do the same; what bine did."""
    theirs = run(PYTHON, *args, stdin=stdin)
    ours = run(BINE, *args, stdin=stdin)
    assert ours[:2] == theirs[:2], f"{args}: bine {ours}, python3 {theirs}"
    if stderr:
        assert ours[2] == theirs[2], f"{args}: bine says\n{ours[2]}\npython3 says\n{theirs[2]}"
    return ours


# ---- where the script comes from


def test_the_executable_is_a_python_of_the_same_version():
    code = "import subprocess, sys; print(subprocess.run([sys.executable, '-c', 'import sys; print(sys.version)'], " \
        "capture_output=True, text=True).stdout.strip() == sys.version)"
    assert run(BINE, "-c", code) == (0, "True\n", "")


def test_a_script_has_its_path_and_arguments_in_argv():
    path = write("args.py", "import sys; print(sys.argv, __name__, __file__)")
    assert same(path, "a", "-b", "--", "-c", "")[0] == 0
    same("args.py", "x")


def test_code_is_given_by_c():
    same("-c", "import sys; print(sys.argv, __name__)", "a", "-b")
    same("-c", "print(__name__, '__file__' in globals())")


def test_standard_input_is_a_script():
    same("-", "a", "b", stdin="import sys; print(sys.argv, __name__)")
    same("-", stdin="")
    same(stdin="import sys; print(sys.argv)")
    same("-", stdin="x = 'caf\u00e9'\nprint(x)\n" * 10000)


def test_a_module_runs_as_main():
    write("mod.py", "import sys; print(sys.argv[1:], __name__, __spec__.name, sys.argv[0])")
    same("-m", "mod", "a", "-b")
    same("-m", "json.tool", stdin='{"a": 1}')


def test_a_package_runs_its_main():
    write("pack/__init__.py", "print('init')")
    write("pack/__main__.py", "import sys; from . import friend; print(sys.argv[1:], __package__, friend.x)")
    write("pack/friend.py", "x = 1")
    same("-m", "pack", "a")


def test_a_module_that_is_not_there_fails():
    code, out, err = same("-m", "no_such_module", stderr=False)
    assert code == 1 and "No module named no_such_module" in err


def test_a_folder_runs_its_main():
    write("app/__main__.py", "import sys, friend; print(sys.argv[1:], __name__, friend.x)")
    write("app/friend.py", "x = 2")
    same("app", "a")
    same(str(FOLDER / "app"), "a")


def test_a_zip_runs_its_main():
    import zipfile
    with zipfile.ZipFile(FOLDER / "app.zip", "w") as z:
        z.writestr("__main__.py", "import sys, friend; print(sys.argv, __name__, friend.x)")
        z.writestr("friend.py", "x = 3")
    same("app.zip", "a")


def test_a_folder_without_main_fails():
    (FOLDER / "empty").mkdir()
    assert same("empty", stderr=False)[0] == 1


def test_imports_are_searched_beside_the_script():
    write("sub/friend.py", "x = 4")
    path = write("sub/main.py", "import sys, friend; print(friend.x, sys.path[0])")
    same(path)
    same("sub/main.py")


def test_code_and_input_import_from_the_working_folder():
    write("friend.py", "x = 5")
    same("-c", "import sys, friend; print(friend.x, repr(sys.path[0]))")
    same("-", stdin="import sys, friend; print(friend.x, repr(sys.path[0]))")
    write("usesit.py", "import sys, friend; print(friend.x, repr(sys.path[0]))")
    same("-m", "usesit")


# ---- how it ends


def test_sys_exit_gives_the_status():
    for code, status in ("", 0), ("None", 0), ("0", 0), ("3", 3), ("True", 1), ("256 + 7", 7), ("-1", 255), ("2**31 + 5", 5):
        assert same("-c", f"import sys; sys.exit({code})")[0] == status, code


def test_sys_exit_of_an_object_prints_it():
    assert same("-c", "import sys; sys.exit('sorry \u00e9')")[0] == 1
    assert same("-c", "import sys; sys.exit(['a', 1])")[0] == 1
    assert same("-c", "raise SystemExit('direct')")[0] == 1
    assert same("-c", "raise SystemExit(1, 2)")[0] == 1


def test_a_huge_exit_status_is_the_same():
    same("-c", "import sys; sys.exit(2**70)", stderr=False)  # since 3.12 python3 says why


def test_an_uncaught_error_is_one_with_its_traceback():
    path = write("fail.py", "def f():\n    raise ValueError('caf\u00e9')\n\nf()\n")
    assert same(path)[0] == 1
    same("-c", "1/0")
    code, out, err = same("-", stdin="x = 1\n1/0\n", stderr=False)  # bine shows the line, python3 does not always
    assert 'File "<stdin>", line 2' in err and "ZeroDivisionError: division by zero" in err


def test_an_error_with_cause_prints_both():
    same(write("cause.py", "try:\n    1/0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e\n"))


def test_a_syntax_error_is_one():
    path = write("syntax.py", "x = (1,\ny = 2\n")
    assert same(path)[0] == 1
    same("-c", "def f(:")


def test_a_missing_file_is_two():
    code, out, err = same("no_such_script.py", stderr=False)
    assert code == 2 and "no_such_script.py" in err and "No such file" in err


def test_an_excepthook_is_heeded():
    same("-c", "import sys\nsys.excepthook = lambda t, v, tb: print('hook', t.__name__, v)\n1/0")


def test_atexit_functions_run():
    same("-c", "import atexit; atexit.register(print, 'bye'); print('hi')")
    same("-c", "import atexit; atexit.register(print, 'bye'); 1/0")


def test_standard_output_is_flushed_into_a_pipe():
    code, out, err = same("-c", "import sys; sys.stdout.write('x' * 100000)")
    assert len(out) == 100000


def test_threads_are_waited_for():
    same("-c", "import threading\n"
               "e = threading.Event()\n"
               "t = threading.Thread(target=lambda: (e.wait(), print('thread')))\n"
               "t.start(); print('main'); e.set()\n")


def test_input_is_read_by_the_script():
    same("-c", "print(input().upper()); print(input())", stdin="one\ntwo\n")


# ---- micro-threads


def test_spawned_micro_threads_are_awaited():
    code, out, err = run(BINE, "-c", "import bine\n"
                         "def go(i):\n    bine.sleep(0.001 * i)\n    print(i)\n"
                         "for i in range(3): bine.spawn(go, i)\nprint('main')\n")
    assert (code, out, err) == (0, "main\n0\n1\n2\n", ""), (code, out, err)


def test_a_failing_script_raises_exit_in_the_others():
    code, out, err = run(BINE, "-c", "import bine\n"
                         "def go():\n"
                         "    try: bine.sleep(1000)\n"
                         "    except bine.Exit: print('exit'); raise\n"
                         "bine.spawn(go); bine.pause(); 1/0\n")
    assert code == 1 and out == "exit\n" and "ZeroDivisionError" in err, (code, out, err)


def test_sys_exit_ends_the_others():
    code, out, err = run(BINE, "-c", "import bine, sys\n"
                         "bine.spawn(bine.sleep, 1000); bine.pause(); sys.exit(4)\n")
    assert (code, err) == (4, ""), (code, out, err)


def test_the_error_of_a_micro_thread_is_told_and_the_script_goes_on():
    code, out, err = run(BINE, "-c", "import bine\n"
                         "def go(): 1/0\n"
                         "bine.spawn(go); bine.pause(); print('on')\n")
    assert out == "on\n" and "ZeroDivisionError" in err and "micro-thread 'go" in err, (code, out, err)


def test_who_waits_for_input_holds_nobody_up():
    code = "import bine, sys\n" \
        "def go(i): bine.sleep(0.001 * i); print('tick', i, flush=True)\n" \
        "for i in range(3): bine.spawn(go, i)\n" \
        "print('got', input(), sys.stdin.readline(), end='')\n"
    with subprocess.Popen([BINE, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as script:
        assert [script.stdout.readline() for _ in range(3)] == ["tick 0\n", "tick 1\n", "tick 2\n"]
        script.stdin.write("one\ntwo\n")
        script.stdin.flush()
        assert script.stdout.readline() == "got one two\n"


def test_a_full_output_holds_nobody_up():
    code = "import bine, sys\n" \
        "def fill(): print('x' * 1000000)\n" \
        "filler = bine.spawn(fill); bine.sleep(0.001)\n" \
        "print('on', file=sys.stderr, flush=True)\n"
    with subprocess.Popen([BINE, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as script:
        assert script.stderr.readline() == "on\n"
        assert script.stdout.read() == "x" * 1000000 + "\n"


# ---- Ctrl-C


def interrupted(program, script, *args):
    """Runs `script`, sends SIGINT when it says "ready"; status, output, error."""
    path = write("interrupted.py", script)
    child = subprocess.Popen([program, path, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    try:
        out, err = child.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise
    return child.returncode, out, err


READY = "print('ready', flush=True)\n"
# Says so once the script waits: the child has its turn then.
READY_WHEN_WAITING = "import bine\nbine.spawn(print, 'ready', flush=True)\n"


def without_place(result):
    """Where in the script it happened is a matter of chance."""
    code, out, err = result
    lines = err.splitlines()
    return code, out, lines[:1] + lines[-1:]


def test_interrupt_kills_a_busy_script_as_it_does_python():
    script = READY + "while True: pass\n"
    theirs = interrupted(PYTHON, script)
    ours = interrupted(BINE, script)
    assert without_place(ours) == without_place(theirs), (ours, theirs)
    assert ours[0] == -signal.SIGINT and "KeyboardInterrupt" in ours[2]


def test_interrupt_kills_a_script_that_waits():
    code, out, err = interrupted(BINE, READY_WHEN_WAITING + "bine.sleep(1000)\n")
    assert code == -signal.SIGINT, (code, out, err)
    assert err.startswith("Traceback") and "line 3, in <module>" in err and err.endswith("KeyboardInterrupt\n"), err
    assert err.count("Traceback") == 1, err


def test_interrupt_can_be_caught():
    script = "try:\n    " + READY + "    while True: pass\nexcept KeyboardInterrupt: print('caught')\n"
    ours = interrupted(BINE, script)
    assert ours == interrupted(PYTHON, script) == (0, "caught\n", ""), ours
    ours = interrupted(BINE, READY_WHEN_WAITING + "try: bine.sleep(1000)\nexcept KeyboardInterrupt: print('caught')\n")
    assert ours == (0, "caught\n", ""), ours


HANDLER = ("import signal, sys, bine\n"
           "def on_signal(number, frame):\n"
           "    print('handler', number)\n"
           "    sys.exit(7)\n"
           "signal.signal(signal.SIGINT, on_signal)\n")


def test_a_handler_of_the_script_is_called():
    ours = interrupted(BINE, HANDLER + READY + "while True: pass\n")
    assert ours == (7, "handler 2\n", ""), ours
    ours = interrupted(BINE, HANDLER + READY_WHEN_WAITING + "bine.sleep(1000)\n")
    assert ours == (7, "handler 2\n", ""), ours


def test_a_handler_that_returns_lets_the_wait_go_on():
    ours = interrupted(BINE, "import signal, bine\n"
                       "signal.signal(signal.SIGINT, lambda n, f: seen.append(n))\n"
                       "seen = []\n" + READY +
                       "while not seen: bine.sleep(0.01)\n"
                       "print(seen == [2])\n")
    assert ours == (0, "True\n", ""), ours


def test_interrupt_meets_a_busy_child_and_ends_the_script():
    code, out, err = interrupted(BINE, "import bine\n"
                                 "def spin():\n"
                                 "    print('ready', flush=True)\n"
                                 "    while True: pass\n"
                                 "t = bine.spawn(spin)\n"
                                 "bine.sleep(1000)\n")
    assert code == -signal.SIGINT, (code, out, err)
    assert err.count("KeyboardInterrupt") >= 1, err


def test_interrupt_meets_a_joined_child():
    code, out, err = interrupted(BINE, "import bine\n"
                                 "def spin():\n"
                                 "    print('ready', flush=True)\n"
                                 "    while True: pass\n"
                                 "bine.spawn(spin).join()\n")
    assert code == -signal.SIGINT, (code, out, err)
    assert err.count("Traceback") == 1, err


def test_interrupt_while_children_are_awaited_at_the_end():
    code, out, err = interrupted(BINE, "import bine\n"
                                 "def wait():\n"
                                 "    print('ready', flush=True)\n"
                                 "    bine.sleep(1000)\n"
                                 "bine.spawn(wait)\n")
    assert code == -signal.SIGINT, (code, out, err)


def test_threading_works_in_the_child_of_a_fork_in_what_is_spawned():
    code, out, err = run(BINE, "-c", "import bine, os, threading, warnings\n"
                         "warnings.simplefilter('ignore')\n"
                         "def work():\n"
                         "    threading.current_thread()\n"
                         "    child = os.fork()\n"
                         "    if child == 0:\n"
                         "        box = []\n"
                         "        thread = threading.Thread(target=box.append, args=(1,))\n"
                         "        thread.start()\n"
                         "        thread.join()\n"
                         "        print(box, threading.current_thread() is threading.main_thread(), flush=True)\n"
                         "        return\n"
                         "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
                         "bine.spawn(work).join()\n")
    assert (code, out, err) == (0, "[1] True\n0\n", ""), (code, out, err)


def test_a_forked_child_ends_though_another_was_in_a_generator():
    code, out, err = run(BINE, "-c", "import bine, os, sys\n"
                         "def slow():\n    bine.emit(1)\n    bine.sleep(100)\n"
                         "generator = bine.generate(slow)\n"
                         "next(generator)\n"
                         "asker = bine.spawn(next, generator)\n"
                         "bine.pause()\n"
                         "child = os.fork()\n"
                         "if child == 0: sys.exit(4)\n"
                         "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
                         "asker.cancel()\n")
    assert (code, out, err) == (0, "4\n", ""), (code, out, err)


def test_a_child_of_a_scope_that_forked_goes_on_in_the_child():
    code, out, err = run(BINE, "-c", "import bine, os\n"
                         "def work(name):\n"
                         "    child = os.fork()\n"
                         "    if child == 0:\n"
                         "        bine.pause()\n"
                         "        print(name, flush=True)\n"
                         "        os._exit(0)\n"
                         "    os.waitpid(child, 0)\n"
                         "with bine.Scope() as s: s.spawn(work, 'scope')\n"
                         "bine.parallel_map(work, ['map'])\n")
    assert (code, out, err) == (0, "scope\nmap\n", ""), (code, out, err)


# ---- deadlocks

SAYS = "bine: deadlock: nothing is left that could end any of these waits.\n"


def test_a_deadlock_is_said_with_every_stack():
    path = write("dead.py", "import bine\n"
                 "a, b = bine.Lock(), bine.Lock()\n"
                 "def first():\n    with a:\n        bine.pause()\n        b.acquire()\n"
                 "def second():\n    with b:\n        bine.pause()\n        a.acquire()\n"
                 "one, two = bine.spawn(first), bine.spawn(second)\n"
                 "one.name, two.name = 'one', 'two'\n"
                 "one.join()\n")
    code, out, err = run(BINE, path)
    assert code == 1 and out == "" and err.startswith(SAYS), (code, out, err)
    for part in ("micro-thread 'one' waits for a bine.Lock that 'two' has:", "line 6, in first", "line 10, in second",
                 "micro-thread 'two' waits for a bine.Lock that 'one' has:", "line 13, in <module>",
                 "waits for the end of 'one':"):
        assert part in err, (part, err)


def test_in_a_deadlock_clean_up_runs():
    code, out, err = run(BINE, "-c", "import bine\n"
                         "def work():\n"
                         "    try: bine.Event().wait()\n"
                         "    finally: print('spawned cleans', flush=True)\n"
                         "bine.spawn(work)\n"
                         "try: bine.Queue().get()\n"
                         "except bine.Exit: print('main cleans', flush=True); raise\n")
    assert code == 1 and err.startswith(SAYS), (code, out, err)
    assert sorted(out.splitlines()) == ["main cleans", "spawned cleans"]


def test_a_deadlock_after_the_main_script_has_ended():
    code, out, err = run(BINE, "-c", "import bine\nbine.spawn(bine.Event().wait)\nprint('main')\n")
    assert code == 1 and out == "main\n" and err.startswith(SAYS) and "Event.wait" in err, (code, out, err)


def test_how_the_main_script_ends_goes_before_what_others_wait_for():
    wait = "import bine, sys\nbine.spawn(bine.Event().wait)\nbine.pause()\n"
    for end, status in ("sys.exit(0)", 0), ("sys.exit(3)", 3):
        code, out, err = run(BINE, "-c", wait + end)
        assert (code, out, err) == (status, "", ""), (code, out, err)
    code, out, err = run(BINE, "-c", wait + "sys.excepthook = lambda *found: print(found[1])\nraise ValueError('mine')")
    assert (code, out, err) == (1, "mine\n", ""), (code, out, err)


def test_threadings_primitives_deadlock_alike():
    for wait in ("threading.Event().wait()", "threading.Semaphore(0).acquire()", "queue.Queue().get()",
                 "queue.SimpleQueue().get()", "threading.Barrier(2).wait()",
                 "lock = threading.Lock(); lock.acquire(); lock.acquire()",
                 "concurrent.futures.Future().result()"):
        code, out, err = run(BINE, "-c", "import concurrent.futures, queue, threading\n" + wait)
        assert code == 1 and err.startswith(SAYS) and "in <module>" in err, (wait, code, err)


def test_a_thread_that_ends_leaves_a_deadlock():
    """Nothing else wakes the loop then."""
    code, out, err = run(BINE, "-c", "import bine, threading, time\n"
                         "def work():\n    waiting.wait()\n    time.sleep(0.05)\n    print('thread')\n"
                         "waiting = bine.Event()\n"
                         "threading.Thread(target=work).start()\n"
                         "bine.spawn(waiting.set)\n"
                         "bine.Event().wait()\n")
    assert code == 1 and out == "thread\n" and err.startswith(SAYS), (code, out, err)


def test_waiting_for_a_thread_is_no_deadlock():
    code, out, err = run(BINE, "-c", "import bine, threading, time\n"
                         "def work():\n    waiting.wait()\n    time.sleep(0.05)\n    done.set()\n"
                         "waiting, done = bine.Event(), bine.Event()\n"
                         "threading.Thread(target=work).start()\n"
                         "bine.spawn(waiting.set)\n"
                         "done.wait()\nprint('done')\n")
    assert (code, out, err) == (0, "done\n", "")


def test_waiting_for_time_is_no_deadlock():
    code, out, err = run(BINE, "-c", "import bine, threading\n"
                         "t = bine.spawn(bine.Event().wait, 0.05)\n"
                         "print(t.join(), threading.Event().wait(0.05), threading.Lock().acquire())\n")
    assert (code, out, err) == (0, "False False True\n", "")


def test_waiting_for_a_signal_with_a_handler_is_no_deadlock():
    script = "import bine, signal\n" \
        "end = bine.Event()\n" \
        "signal.signal(signal.SIGINT, lambda *args: end.set())\n" \
        "bine.spawn(print, 'ready', flush=True)\n" \
        "end.wait()\nprint('woken')\n"
    assert interrupted(BINE, script) == (0, "woken\n", "")


def test_a_handler_may_wait_for_another_lock_and_the_wait_goes_on():
    script = "import bine, signal\n" \
        "lock, other, end = bine.Lock(), bine.Lock(), bine.Event()\n" \
        "lock.acquire(), other.acquire()\n" \
        "def handler(*args):\n    print('handling')\n    end.set()\n    with other: print('handled')\n" \
        "signal.signal(signal.SIGINT, handler)\n" \
        "def helps():\n    end.wait()\n    other.release()\n    bine.pause()\n    lock.release()\n" \
        "bine.spawn(helps)\nbine.spawn(print, 'ready', flush=True)\n" \
        "with lock: print('in')\n" \
        "print(lock.locked(), other.locked())\n"
    assert interrupted(BINE, script) == (0, "handling\nhandled\nin\nFalse False\n", "")


def test_a_handler_that_raises_ends_the_wait_and_leaves_the_lock():
    script = "import bine, signal\n" \
        "lock = bine.Lock()\nlock.acquire()\n" \
        "def handler(*args): raise ZeroDivisionError('from the handler')\n" \
        "signal.signal(signal.SIGINT, handler)\n" \
        "bine.spawn(print, 'ready', flush=True)\n" \
        "try: lock.acquire()\nexcept ZeroDivisionError as error: print(error)\n" \
        "lock.release()\nprint(lock.locked())\n"
    assert interrupted(BINE, script) == (0, "from the handler\nFalse\n", "")


def test_interrupt_meets_a_lock_that_another_has():
    script = "import bine\n" \
        "lock = bine.Lock()\n" \
        "def holds():\n    with lock:\n        print('ready', flush=True)\n        bine.sleep(1000)\n" \
        "bine.spawn(holds)\nbine.pause()\n" \
        "with lock: pass\n"
    code, out, err = interrupted(BINE, script)
    assert code == -signal.SIGINT and err.endswith("KeyboardInterrupt\n") and SAYS not in err, (code, out, err)


# ---- the end, with threads that are still there


def test_daemon_threads_that_wait_do_not_keep_the_end():
    for thing in "Lock", "Event", "Semaphore", "Condition", "Queue", "SimpleQueue", "Barrier":
        wait = {"Lock": "t.acquire()", "Event": "t.wait()", "Semaphore": "t.acquire()",
                "Condition": "t.acquire(); t.wait()", "Barrier": "t.wait()"}.get(thing, "t.get()")
        args = {"Semaphore": "0", "Barrier": "2"}.get(thing, "")
        code, out, err = run(BINE, "-c", "import bine, threading\n"
                             f"t = bine.{thing}({args})\n"
                             + ("t.acquire()\n" if thing == "Lock" else "") +
                             f"def work():\n    ready.set()\n    {wait}\n"
                             "ready = bine.Event()\n"
                             "threading.Thread(target=work, daemon=True).start()\n"
                             "ready.wait()\nprint('main')\n")
        assert (code, out, err) == (0, "main\n", ""), (thing, code, out, err)


def test_a_lock_used_by_the_last_destructors_does_not_hang():
    """A daemon thread waits for it, and is gone when it is let go of."""
    code, out, err = run(BINE, "-c", "import bine, sys, threading\n"
                         "lock = bine.Lock()\nlock.acquire()\n"
                         "class Last:\n"
                         "    def __init__(self): self.lock = lock\n"
                         "    def __del__(self):\n"
                         "        self.lock.release()\n"
                         "        with self.lock: pass\n"
                         "def work():\n    ready.set()\n    lock.acquire()\n"
                         "ready = bine.Event()\n"
                         "threading.Thread(target=work, daemon=True).start()\n"
                         "ready.wait()\nsys.last = Last()\nprint('main')\n")
    assert code == 0 and out == "main\n", (code, out, err)


def test_destructors_at_the_end_may_use_queues():
    code, out, err = run(BINE, "-c", "import bine, sys\n"
                         "class Last:\n"
                         "    def __init__(self): self.queue = bine.SimpleQueue(), bine.Queue(1)\n"
                         "    def __del__(self):\n"
                         "        for q in self.queue:\n"
                         "            q.put(1); q.get()\n"
                         "            for use in q.get_nowait, lambda: q.get(timeout=1), q.get:\n"
                         "                try: use()\n"
                         "                except BaseException: pass\n"
                         "sys.last = Last()\nprint('main')\n")
    assert code == 0 and out == "main\n", (code, out, err)


# ---- options


def test_help_and_version_go_to_standard_output():
    for option in "-h", "--help":
        code, out, err = run(BINE, option)
        assert code == 0 and out.startswith("usage: bine") and err == ""
    version = "%d.%d.%d" % sys.version_info[:3]
    for option in "-V", "--version":
        code, out, err = run(BINE, option)
        assert code == 0 and re.fullmatch(r"bine \d+\.\d+\.\d+ \(CPython " + re.escape(version) + r"\S*\)\n", out), out


def test_stalls_are_told_of_on_standard_error():
    code, out, err = run(BINE, "--stalls=1", "-c", "import sys, time\n"
                                                   "end = time.monotonic() + 0.05\n"
                                                   "while time.monotonic() < end: pass\n"
                                                   "print(sys.argv)", "x")
    assert code == 0 and out == "['-c', 'x']\n", (code, out, err)
    assert re.search(r"held the loop for \d+ ms: <string>:[123], in <module>\n", err), err
    for bad in "--stalls=", "--stalls=0", "--stalls=-1", "--stalls=x", "--stalls=1x", "--stalls=99999999999999999999":
        code, out, err = run(BINE, bad, "-c", "pass")
        assert code == 2 and "milliseconds" in err, (bad, code, out, err)


def test_what_is_no_option_is_two():
    for args in ("--nonsense",), ("-Z",), ("-c",), ("-m",):
        code, out, err = run(BINE, *args)
        assert code == 2 and out == "" and "Try 'bine --help'" in err, (args, code, out, err)
        assert run(PYTHON, *args)[0] == 2


def test_the_interpreter_is_configured_as_pythons():
    same("-c", "import sys; print(sys.flags.isolated, sys.flags.no_site, sys.flags.utf8_mode, sys.stdout.encoding,"
               " sys.getfilesystemencoding(), sys.prefix, sys.exec_prefix)")
    same("-c", "import sys; print(sys.path)")


def test_warnings_and_environment_are_heeded():
    os.environ["PYTHONPATH"] = str(FOLDER / "elsewhere")
    write("elsewhere/friend.py", "x = 6")
    same("-c", "import friend; print(friend.x)")
    os.environ["PYTHONUTF8"] = "1"
    same("-c", "import sys; print(sys.flags.utf8_mode)")


# ---- tools that watch


WATCHED = """\
import bine

def leaf(n):
    if n > 0:
        return leaf(n - 1)
    return 0

def child():
    bine.pause()
    t = bine.spawn(grandchild, 2)
    bine.pause()
    return t.join()

def grandchild(n):
    for _ in range(n):
        bine.pause()
    return leaf(3)

def never():
    return 1

async def coroutine():
    await bine.spawn(bine.pause)
    return 2

ts = [bine.spawn(child) for _ in range(3)]
ts.append(bine.spawn(coroutine))
assert [t.join() for t in ts] == [0, 0, 0, 2]
"""


def need(module):
    """Ends the case as not run where the module is missing."""
    if run(PYTHON, "-c", f"import {module}")[0] != 0:
        sys.exit(77)


def missing_lines(path):
    """What coverage says was not run, by function."""
    code, out, err = run(PYTHON, "-m", "coverage", "json", "-q", "-o", "-", f"--include={path}")
    assert code == 0, (out, err)
    (report,) = json.loads(out)["files"].values()
    lines = pathlib.Path(path).read_text().splitlines()
    return [lines[n - 1].strip() for n in report["missing_lines"]]


def test_coverage_sees_what_is_spawned():
    need("coverage")
    path = write("watched.py", WATCHED)
    assert run(BINE, "-m", "coverage", "run", path) == (0, "", "")
    assert missing_lines(path) == ["return 1"]


def test_coverage_started_in_a_script_sees_what_it_spawns():
    need("coverage")
    path = write("watched.py", WATCHED)
    main = write("main.py", "import bine, coverage\n"
                            "before = bine.spawn(lambda: bine.pause() or bine.pause())\n"
                            "c = coverage.Coverage()\n"
                            "c.start()\n"
                            "import watched\n"
                            "c.stop()\n"
                            "c.save()\n"
                            "before.join()\n")
    assert run(BINE, main) == (0, "", "")
    assert missing_lines(path) == ["return 1"]


def test_coverage_by_branches():
    need("coverage")
    path = write("watched.py", WATCHED)
    assert run(BINE, "-m", "coverage", "run", "--branch", path) == (0, "", "")
    assert missing_lines(path) == ["return 1"]


def test_coverage_with_a_tracer_in_python():
    need("coverage")
    path = write("watched.py", WATCHED)
    assert run(BINE, "-m", "coverage", "run", "--timid", path)[:2] == (0, "")
    assert missing_lines(path) == ["return 1"]


def test_coverage_goes_on_when_one_fails():
    need("coverage")
    path = write("fails.py", "import bine\n"
                             "def fails():\n"
                             "    bine.pause()\n"
                             "    raise ValueError('on purpose')\n"
                             "def works():\n"
                             "    bine.pause()\n"
                             "    bine.pause()\n"
                             "    return 1\n"
                             "bine.spawn(fails)\n"
                             "bine.spawn(works).join()\n")
    code, out, err = run(BINE, "-m", "coverage", "run", path)
    assert code == 0 and "ValueError: on purpose" in err, (code, out, err)
    assert missing_lines(path) == []


def profiled_calls(out):
    """Function name -> how often it was called, of what cProfile prints."""
    lines = re.findall(r"^ +(\d+)(?:/\d+)? .*?(?:\((\w+)\)|method '?([\w.]+).*\})$", out, re.M)
    return {function or method: int(count) for count, function, method in lines}


def test_cprofile_counts_the_calls_of_what_is_spawned():
    path = write("watched.py", WATCHED)
    code, out, err = run(BINE, "-m", "cProfile", path)
    assert code == 0 and err == "", err
    counts = profiled_calls(out)
    assert counts["child"] == 3 and counts["grandchild"] == 3 and counts["leaf"] == 12, out
    assert counts["bine.pause"] == 12 and "never" not in counts, out


def test_pdb_as_with_python():
    path = write("plain.py", "a = 1\n"
                             "def f():\n"
                             "    b = 2\n"
                             "    return b\n"
                             "c = f()\n"
                             "print(a + c)\n")
    same("-m", "pdb", path, stdin="break f\ncontinue\nwhere\nnext\np b\nreturn\nnext\ncontinue\nquit\n")
    same("-m", "pdb", path, stdin="step\nstep\nuntil 5\nstep\nup\nargs\nquit\n")


def test_pdb_stops_in_what_is_spawned():
    path = write("watched.py", WATCHED)
    commands = "break grandchild\ncontinue\np n\nclear 1\nnext\nnext\nnext\np _\ncontinue\nquit\n"
    code, out, err = run(BINE, "-m", "pdb", path, stdin=commands)
    assert code == 0, (out, err)
    assert "(Pdb) 2\n" in out and "-> bine.pause()" in out and "(Pdb) 1\n" in out, out
    assert "The program finished" in out, out


def test_breakpoint_in_a_spawned_one():
    path = write("stops.py", "import bine\n"
                             "def busy():\n"
                             "    for _ in range(9): bine.pause()\n"
                             "def work():\n"
                             "    breakpoint()\n"
                             "    bine.pause()\n"
                             "    a = 7\n"
                             "    return a\n"
                             "ts = [bine.spawn(busy), bine.spawn(work)]\n"
                             "for t in ts: t.join()\n"
                             "print('the end')\n")
    code, out, err = run(BINE, path, stdin="next\nnext\np a\nnext\np a\ncontinue\n")
    assert code == 0 and "the end" in out, (out, err)
    assert "busy" not in out and "(Pdb) 7\n" in out, out


def test_threads_that_wait_for_work_do_not_hide_a_deadlock():
    code = "import bine, threading\n" \
        "from concurrent.futures import ThreadPoolExecutor\n" \
        "pool = ThreadPoolExecutor(2)\n" \
        "print(list(pool.map(abs, [-1, -2])), flush=True)\n" \
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n" \
        "bine.Pipe().get()\n"
    status, out, err = run(BINE, "-c", code)
    assert (status, out) == (1, "[1, 2]\n") and err.startswith("bine: deadlock: "), err


def test_a_pool_that_nobody_shuts_down_ends_with_the_script():
    same("-c", "from concurrent.futures import ThreadPoolExecutor as T\np = T(2)\nprint(p.submit(abs, -1).result())")


def test_a_thread_that_works_may_end_a_wait():
    code = "import bine, threading, time\n" \
        "pipe = bine.Pipe(1)\n" \
        "go = threading.Event()\n" \
        "def work():\n" \
        "    go.wait(); time.sleep(0.05); pipe.try_put(1)\n" \
        "threading.Thread(target=work).start()\n" \
        "bine.spawn(go.set)\n" \
        "print(pipe.get())\n"
    assert run(BINE, "-c", code) == (0, "1\n", "")


def test_what_is_imported_while_the_interpreter_ends_is_pythons_own():
    code = "import atexit, sys\n" \
        "def late():\n" \
        "    import queue, traceback\n" \
        "    try: 1 / 0\n" \
        "    except ZeroDivisionError: traceback.print_exc(file=sys.stdout)\n" \
        "    q = queue.SimpleQueue(); q.put(1); print(q.get())\n" \
        "atexit.register(late)\n"
    same(write("late.py", code))  # of text given by -c only 3.13 shows lines


# ---- processes


POOL = """
import os, sys
from concurrent.futures import ProcessPoolExecutor
import bine

def work(n):
    if n == 100:
        os._exit(3)
    if n == 101:
        raise KeyboardInterrupt
    if n == 102:
        bine.sleep(0.01)  # in a worker, too
    return n * n, os.getpid() != HERE

HERE = os.getpid()
turns = 0

def others():
    global turns
    try:
        while True:
            turns += 1
            bine.sleep(0.001)
    finally:
        if os.getpid() != HERE:
            print("clean-up in a worker")

background = bine.spawn(others)
for items in [0, 1, 2], [1, 101, 2], [102]:
    with ProcessPoolExecutor(2) as pool:
        try:
            print(bine.parallel_map(work, items, executor=pool))
        except BaseException as error:
            print(type(error).__name__)
with ProcessPoolExecutor(2) as pool:
    try:
        bine.parallel_map(work, [1, 100, 2], executor=pool)
    except Exception as error:
        print(type(error).__name__)
background.cancel()
print(turns > 3)
"""


def test_a_pool_of_processes_and_what_goes_wrong_in_it():
    assert run(BINE, write("pool.py", POOL)) == (
        0, "[(0, True), (1, True), (4, True)]\nKeyboardInterrupt\n[(10404, True)]\nBrokenProcessPool\nTrue\n", "")


def test_a_child_of_fork_ends_as_a_script_does():
    code = "import bine, os, sys\n" \
        "told = bine.Event()\n" \
        "def other():\n" \
        "    try: told.wait()\n" \
        "    finally: print('finally', flush=True)\n" \
        "bine.spawn(other); bine.pause()\n" \
        "child = os.fork()\n" \
        "if child == 0: sys.exit(5)\n" \
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)\n" \
        "told.set()\n"
    assert run(BINE, "-c", code) == (0, "5\nfinally\n", "")


def test_a_child_of_a_fork_in_what_is_spawned():
    code = "import bine, os\n" \
        "def fork():\n" \
        "    child = os.fork()\n" \
        "    if child == 0:\n" \
        "        bine.sleep(0.01); print('child', flush=True); return\n" \
        "    print(os.waitpid(child, 0)[1], flush=True)\n" \
        "bine.spawn(fork).join(); print('parent')\n"
    assert run(BINE, "-c", code) == (0, "child\n0\nparent\n", "")


if __name__ == "__main__":
    try:
        globals()[sys.argv[2]]()
    finally:
        shutil.rmtree(FOLDER)
