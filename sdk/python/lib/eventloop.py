"""bine.EventLoop and bine.run_async(): asyncio on the runtime's reactor. What is hot is C (sdk/asyncio/); all that is
not is asyncio's own selector loop, which this derives from."""
import asyncio
import errno
import logging
import selectors
import signal
import warnings
import weakref
from asyncio import base_events, constants, events, format_helpers, futures, protocols, selector_events, sslproto
from asyncio import streams, unix_events

_Loop, _Stream = loop_types()
_logger = logging.getLogger("asyncio")
_LONG = 3600.0  # seconds; what waits on though it is cancelled looks again
_shared = None


class _Watched:
    """Stands where a selector loop has its selector: transports look there, whether they are watched."""

    def __init__(self, loop):
        self._loop = weakref.ref(loop)

    def get_key(self, fd):
        loop = self._loop()
        reader, writer = loop._handles_of(fd) if loop is not None else (None, None)  # it goes together with those it had
        events = (reader is not None) * selectors.EVENT_READ | (writer is not None) * selectors.EVENT_WRITE
        if not events:
            raise KeyError(f"{fd!r} is not registered")
        return selectors.SelectorKey(fd, fd, events, (reader, writer))

    def close(self):
        pass


_received, _fed = streams.StreamReaderProtocol.data_received, streams.StreamReader.feed_data


def _reader_class(protocol):
    """StreamReader, when the protocol feeds one as asyncio does and nobody has put something else there."""
    if type(protocol) is streams.StreamReaderProtocol and streams.StreamReaderProtocol.data_received is _received \
            and streams.StreamReader.feed_data is _fed and "data_received" not in vars(protocol):
        return streams.StreamReader
    return None


class _StreamTransport(selector_events._SelectorSocketTransport):
    """asyncio's own, with the way of what is read and written in C."""

    def __init__(self, loop, sock, protocol, waiter=None, extra=None, server=None):
        self._stream = stream = _Stream(loop, self, sock.fileno())
        self._read_ready = stream.read
        self.write = stream.write
        super().__init__(loop, sock, protocol, waiter, extra, server)

    def set_protocol(self, protocol):
        super().set_protocol(protocol)
        if self._stream is not None:
            self._stream.protocol(isinstance(protocol, protocols.BufferedProtocol), _reader_class(protocol))

    def _write_slowly(self, data):
        selector_events._SelectorSocketTransport.write(self, data)

    def _call_connection_lost(self, exc):
        try:
            super()._call_connection_lost(exc)
        finally:
            self._stream = self._read_ready = None
            self.__dict__.pop("write", None)


class _DebugTimer(events.TimerHandle):
    """asyncio's own, which looks where it was made; a handle in C fires it."""

    __slots__ = ("_armed",)

    def cancel(self):
        if not self._cancelled and self._armed is not None:
            self._armed.cancel()
        super().cancel()

    def _run(self):
        self._scheduled = False
        super()._run()


class EventLoop(_Loop, unix_events._UnixSelectorEventLoop):
    """EventLoop()
--

An asyncio event loop over the runtime's reactor: the host's loop drives it. Micro-threads need not make one:
bine.run_async() runs on one that they share. asyncio.Runner(loop_factory=bine.EventLoop) has one of its own.
"""

    def __init__(self):
        super().__init__(_Watched(self))
        self._ready = _NoQueue  # both are in C
        self._scheduled = _NoQueue

    # ---- what asyncio keeps in Python ----

    def _make_self_pipe(self):
        self._ssock = self._csock = None  # C needs none
        self._internal_fds += 1

    def _close_self_pipe(self):
        self._internal_fds -= 1

    def _write_to_self(self):
        pass

    def close(self):
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if not self.is_closed():
            super().close()
            self._end()

    def __del__(self, _warn=warnings.warn):
        if self._shared and not self.is_closed() and not self.is_running():
            self.close()  # nobody was asked to
        elif base_events is not None:
            base_events.BaseEventLoop.__del__(self, _warn)

    # ---- debug mode ----

    def _check_thread(self):
        if not on_owner():
            raise RuntimeError(
                "Non-thread-safe operation invoked on an event loop other than the current one")

    def _call_soon(self, callback, args, context):
        handle = events.Handle(callback, args, self, context)
        if handle._source_traceback:
            del handle._source_traceback[-1]
        self._push(handle)
        return handle

    def _handle_in_debug(self, callback, args):
        return events.Handle(callback, args, self, None)

    def _call_soon_debug(self, callback, *args, context=None):
        handle = base_events.BaseEventLoop.call_soon(self, callback, *args, context=context)
        if handle._source_traceback:
            del handle._source_traceback[-1]
        return handle

    def _call_soon_threadsafe_debug(self, callback, *args, context=None):
        self._check_closed()
        self._check_callback(callback, "call_soon_threadsafe")
        handle = self._call_soon(callback, args, context)
        if handle._source_traceback:
            del handle._source_traceback[-1]
        return handle

    def _call_later_debug(self, delay, callback, *args, context=None):
        if delay is None:
            raise TypeError("delay must not be None")
        timer = self._call_at_debug(self.time() + delay, callback, *args, context=context)
        if timer._source_traceback:
            del timer._source_traceback[-1]
        return timer

    def _call_at_debug(self, when, callback, *args, context=None):
        if when is None:
            raise TypeError("when cannot be None")
        self._check_closed()
        self._check_thread()
        self._check_callback(callback, "call_at")
        timer = _DebugTimer(when, callback, args, self, context)
        if timer._source_traceback:
            del timer._source_traceback[-1]
        self._debug = False
        try:
            timer._armed = self.call_at(when, self._run_in_debug, timer)
        finally:
            self._debug = True
        timer._scheduled = True
        return timer

    def _run_in_debug(self, handle):
        if handle._cancelled:
            return
        if not self._debug:
            handle._run()
            return
        try:
            self._current_handle = handle
            start = self.time()
            handle._run()
            took = self.time() - start
            if took >= self.slow_callback_duration:
                _logger.warning("Executing %s took %.3f seconds", base_events._format_handle(handle), took)
        finally:
            self._current_handle = None

    def _callback_failed(self, handle, exception):
        callback = format_helpers._format_callback_source(handle._callback, handle._args)
        context = {"message": f"Exception in callback {callback}", "exception": exception, "handle": handle}
        if handle._source_traceback:
            context["source_traceback"] = handle._source_traceback
        self.call_exception_handler(context)

    # ---- transports ----

    def _make_socket_transport(self, sock, protocol, waiter=None, *, extra=None, server=None):
        return _StreamTransport(self, sock, protocol, waiter, extra, server)

    def _make_ssl_transport(self, rawsock, protocol, sslcontext, waiter=None, *, server_side=False,
                            server_hostname=None, extra=None, server=None,
                            ssl_handshake_timeout=constants.SSL_HANDSHAKE_TIMEOUT,
                            ssl_shutdown_timeout=constants.SSL_SHUTDOWN_TIMEOUT):
        ssl_protocol = sslproto.SSLProtocol(
            self, protocol, sslcontext, waiter, server_side, server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout, ssl_shutdown_timeout=ssl_shutdown_timeout)
        _StreamTransport(self, rawsock, ssl_protocol, extra=extra, server=server)
        return ssl_protocol._app_transport

    # ---- signals: Python's own handlers tell the loop; nobody else's wakeup descriptor is touched ----

    def add_signal_handler(self, sig, callback, *args):
        if asyncio.iscoroutine(callback) or asyncio.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        self._check_signal(sig)
        self._check_closed()
        handle = events.Handle(callback, args, self, None)
        before = self._signal_handlers.get(sig)
        self._signal_handlers[sig] = handle
        try:
            signal.signal(sig, self._on_signal)
            signal.siginterrupt(sig, False)
        except (ValueError, OSError) as error:
            del self._signal_handlers[sig]
            if before is not None:
                self._signal_handlers[sig] = before
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            text = str(error) if isinstance(error, ValueError) else f"sig {sig} cannot be caught"
            raise RuntimeError(text) from None

    def _on_signal(self, sig, frame):
        if not self.is_closed():
            self._handle_signal(sig)

    def _add_callback_signalsafe(self, handle):
        if not handle._cancelled:
            self._push(handle)

    def remove_signal_handler(self, sig):
        self._check_signal(sig)
        if self._signal_handlers.pop(sig, None) is None:
            return False
        try:
            signal.signal(sig, signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught") from None
            raise
        return True

    def run_forever(self):
        self._check_closed()
        self._check_running()  # 3.13.0 has the loop run no more when it refuses this within
        super().run_forever()

    # ---- the loop that all share ----

    def run_until_complete(self, future):
        if self._shared:
            return run_async(future)
        return super().run_until_complete(future)

    def run_in_executor(self, executor, func, *args):
        future = super().run_in_executor(executor, func, *args)
        if self._shared:
            self._hold(1)
            future.add_done_callback(self._executed)
        return future

    def _executed(self, future):
        self._hold(-1)

    def _serve(self):
        """What its micro-thread runs: until nothing is left to do, or it is told to end."""
        try:
            self.run_forever()
        except (bine.Cancelled, bine.Exit):
            self._finish()
            raise

    def _finish(self):
        """As asyncio.run() does: what runs is cancelled and waited for."""
        global _shared
        self._shared = False
        if _shared is self:
            _shared = None  # whoever comes now has another
        with bine.shield(_LONG):
            self.run_until_complete(self._cancel_all())
        self.close()

    async def _cancel_all(self):
        tasks = asyncio.all_tasks(self) - {asyncio.current_task(self)}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled() and task.exception() is not None:
                self.call_exception_handler({
                    "message": "unhandled exception during the end of the event loop",
                    "exception": task.exception(), "task": task})
        await self.shutdown_asyncgens()


class _NoQueue:
    """asyncio clears its queues when it closes."""
    clear = staticmethod(lambda: None)


def give_class():
    return EventLoop


def _shared_loop():
    global _shared
    if _shared is None or _shared.is_closed():
        _shared = EventLoop()
        _shared._shared = True
    return _shared


async def _awaited(awaitable):
    return await awaitable


def _future_of(awaitable):
    """What runs, or the future itself."""
    if futures.isfuture(awaitable):
        return awaitable
    if asyncio.iscoroutine(awaitable):
        return _shared_loop().create_task(awaitable)
    if hasattr(awaitable, "__await__"):
        return _shared_loop().create_task(_awaited(awaitable))
    raise TypeError(f"run_async() needs a coroutine, a future or something else that can be awaited, "
                    f"not {type(awaitable).__name__}")


def _soon(loop, function, *args):
    """Calls it as the loop's, whichever thread or micro-thread runs that. False: it is closed."""
    if isinstance(loop, EventLoop) and on_owner():
        function(*args)
        return True
    try:
        loop.call_soon_threadsafe(function, *args)
        return True
    except RuntimeError:
        if loop.is_closed():
            return False
        raise


def _cancel_and_wait(future, loop, ended):
    if not _soon(loop, future.cancel):
        return
    while not ended.is_set():
        try:
            with bine.shield(_LONG):
                ended.wait()
        except (bine.Cancelled, bine.Exit, bine.Timeout):
            pass


def _wait(future):
    """Until it has ended; if that is cut short, until it has ended for being cancelled."""
    loop = futures._get_loop(future)
    ended = bine.Event()
    shared = isinstance(loop, EventLoop) and loop._shared
    if shared:
        loop._hold(1)
    try:
        if not _soon(loop, future.add_done_callback, lambda future: ended.set()):
            return
        try:
            ended.wait()
        except BaseException as error:
            _cancel_and_wait(future, loop, ended)
            if future.done() and not future.cancelled() and future.exception() is not None:
                error.__context__ = future.exception()
            raise
    finally:
        if shared:
            loop._hold(-1)


def _refuse_in_loop(awaitable):
    running = events._get_running_loop()
    if running is None:
        return
    if running is _shared or futures.isfuture(awaitable) and futures._get_loop(awaitable) is running:
        if asyncio.iscoroutine(awaitable):
            awaitable.close()
        raise RuntimeError("run_async() would hold up the event loop that it waits for: in async code, use await")


def _run_alone(awaitable):
    """At the end, when there is no micro-thread to be had for the shared loop any more."""
    loop = EventLoop()
    try:
        return loop.run_until_complete(_awaited(awaitable))
    finally:
        loop.close()


def run_async(awaitable):
    if bine.current() is None:
        raise bine.NotInMicroThread("run_async() is for micro-threads")
    _refuse_in_loop(awaitable)
    if shutting_down() and hasattr(awaitable, "__await__") and not futures.isfuture(awaitable) \
            and not (_shared is not None and _shared.is_running()):
        return _run_alone(awaitable)
    future = _future_of(awaitable)
    if not future.done():
        _wait(future)
    try:
        return future.result()
    finally:
        del future, awaitable  # which may hold this frame by its exception


# ---- MicroThread and Deferred in async code ----

def _settle(future, value, error):
    if future.done():
        return
    if error is None:
        future.set_result(value)
    elif isinstance(error, StopIteration):
        future.set_exception(RuntimeError("what was awaited raised StopIteration"))
    else:
        future.set_exception(error)


def _tell(wait, loop, future):
    """Runs in a micro-thread, until what is awaited is there, or nobody awaits it any more."""
    value = error = None
    try:
        value = wait()
    except BaseException as caught:
        error = caught
    _soon(loop, _settle, future, value, error)


def await_in_loop(target):
    loop = events.get_running_loop()
    future = loop.create_future()
    wait = target.join if isinstance(target, bine.MicroThread) else target.wait
    teller = bine.spawn(_tell, wait, loop, future)
    future.add_done_callback(lambda future: teller.cancel())
    return future.__await__()
