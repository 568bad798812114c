"""What module threading is to know of micro-threads; run at open, before any script. A micro-thread looks like a
thread to threading.current_thread(), and waits for a thread without holding the host."""
import threading
from _thread import get_ident
from _weakref import ref

_here = threading.local()


class _MicroThread(threading.Thread):
    """A micro-thread as threading.current_thread() shows it. It does not hold the micro-thread: that one ends as
    if nobody had asked."""

    def __init__(self, micro):
        self._micro = ref(micro)
        self._last_name = micro.name
        super().__init__(name=self._last_name, daemon=True)
        self._set_ident()
        if hasattr(self, "_set_native_id"):
            self._set_native_id()
        self._started.set()

    @property
    def _name(self):
        micro = self._micro()
        if micro is not None:
            self._last_name = micro.name
        return self._last_name

    @_name.setter
    def _name(self, name):
        self._last_name = name
        micro = self._micro()
        if micro is not None and micro.name != name:
            micro.name = name

    def is_alive(self):
        micro = self._micro()
        return micro is not None and not micro.done

    def join(self, timeout=None):
        micro = self._micro()
        if micro is bine.current():
            raise RuntimeError("cannot join current thread")
        if micro is not None:
            wait_for_end(micro, None if timeout is None else max(timeout, 0))

    def __repr__(self):
        state = "started" if self.is_alive() else "stopped"
        return f"<{type(self).__name__}({self._name}, {state} daemon {self._ident})>"


_any_current_thread = threading.current_thread


def current_thread():
    """Return the current Thread object, corresponding to the caller's thread of control: a micro-thread has one of
    its own."""
    thread = threading._active.get(get_ident())
    if thread is not None:
        return thread
    micro = bine.current()
    if micro is None:
        return _any_current_thread()
    try:
        return _here.thread
    except AttributeError:
        _here.thread = thread = _MicroThread(micro)
        return thread


_delete_thread = threading.Thread._delete


def _delete(self):
    "Remove current thread from the dict of currently running threads."
    _delete_thread(self)
    gone = self.__dict__.get("_gone")
    if gone is not None:
        gone.set()
    look_again()


def _wait_until_gone(thread, timeout):
    """Waits until all that is left of a thread's life is its own last steps; False when the time is over."""
    gone = thread.__dict__.setdefault("_gone", bine.Event())
    with threading._active_limbo_lock:
        lives = thread in threading._limbo or threading._active.get(thread._ident) is thread
    return not lives or gone.wait(timeout)


_join_thread = threading.Thread.join


def join(self, timeout=None):
    if not can_wait() or not self._initialized or not self._started.is_set() or self is current_thread():
        return _join_thread(self, timeout)
    if timeout is not None:
        timeout = max(timeout, 0)
    if self is threading.main_thread():
        script = main()
        if script is not None:
            wait_for_end(script, timeout)
    elif _wait_until_gone(self, timeout):
        _join_thread(self)


if hasattr(threading, "_make_thread_handle"):  # since 3.13
    _main_after_fork = threading._MainThread._after_fork

    def _after_fork(self, new_ident=None):
        """In the child of a fork, where a micro-thread has become the main thread."""
        if new_ident is not None:
            self._handle = threading._make_thread_handle(new_ident)
        _main_after_fork(self, new_ident)

    threading._MainThread._after_fork = _after_fork

join.__doc__ = _join_thread.__doc__
current_thread.__module__ = "threading"

threading.current_thread = current_thread
threading.Thread._delete = _delete
threading.Thread.join = join


def _keep_tracebacks_together(traceback):
    part("exclusive")["keep_tracebacks_together"](traceback)


on_import("_queue", give_queue)
on_import("traceback", _keep_tracebacks_together)
