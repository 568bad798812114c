"""bine.exclusive(): a file or socket for oneself, for as long as a with block."""

_WRITERS = "write", "writelines", "send", "sendall", "sendto", "sendmsg", "sendfile"
_locks = guard_locks()  # id -> RLock, the same for a file and those that it writes by; guarded calls look here
_users = {}  # id of the RLock -> [how many are inside or wait, the objects]
_table = bine.Lock()  # for both


class Exclusive:
    """What bine.exclusive() returns."""

    __slots__ = "_file", "_lock"

    def __init__(self, file):
        if not (hasattr(file, "write") or hasattr(file, "send")):
            raise TypeError(f"exclusive() needs a file or a socket, not {type(file).__name__}")
        self._file = file
        self._lock = None

    def __enter__(self):
        if self._lock is not None:
            raise RuntimeError("this exclusive() is in use; make one for each with block")
        lock = _join(self._file)
        try:
            lock.acquire()
        except BaseException:
            _leave(lock)
            raise
        self._lock = lock
        return self._file

    def __exit__(self, *unused):
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()
            _leave(lock)


def _same(file):
    """The file and those that it writes by: a text file has a buffer, that has a raw file."""
    found = [file]
    for name in "buffer", "raw":
        try:
            found.append(getattr(found[-1], name))
        except (AttributeError, ValueError):  # ValueError: it has been detached
            pass
    return found


def _join(file):
    files = _same(file)
    for one in files:
        guard(one, _WRITERS)
    _table._acquire_restore(None)  # not to be cancelled
    try:
        lock = next((_locks[id(one)] for one in files if id(one) in _locks), None) or bine.RLock()
        user = _users.setdefault(id(lock), [0, []])
        user[0] += 1
        for one in files:
            if id(one) not in _locks:
                _locks[id(one)] = lock
                user[1].append(one)  # it lives, and so its id is no other's
    finally:
        _table.release()
    return lock


def _leave(lock):
    _table._acquire_restore(None)
    try:
        user = _users[id(lock)]
        user[0] -= 1
        if user[0] == 0:
            del _users[id(lock)]
            for one in user[1]:
                del _locks[id(one)]
    finally:
        _table.release()


def keep_tracebacks_together(traceback):
    """Those that print a traceback, line by line, have the file for themselves meanwhile."""
    import sys
    from functools import wraps

    def whole(original):
        @wraps(original)
        def printing(first, *args, **kwargs):
            file = kwargs.get("file") or (args[0] if args else None) or sys.stderr
            if not hasattr(file, "write") or not can_wait() and on_owner():
                return original(first, *args, **kwargs)
            with Exclusive(file):
                return original(first, *args, **kwargs)
        return printing

    traceback.print_list = whole(traceback.print_list)
    traceback.TracebackException.print = whole(traceback.TracebackException.print)
