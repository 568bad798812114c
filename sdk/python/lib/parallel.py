"""bine.parallel() and bine.parallel_map(), built on spawn and join: a scope whose children are the calls."""


def parallel(functions):
    for function in functions:
        if not callable(function):
            raise TypeError(f"parallel() needs functions, not {type(function).__name__}")
    return parallel_map(_call, functions, None, None)


def _call(function):
    return function()


def parallel_map(function, items, limit, executor):
    if not callable(function):
        raise TypeError(f"parallel_map() needs a function, not {type(function).__name__}")
    if limit is not None and not isinstance(limit, int):
        raise TypeError(f"limit must be an int or None, not {type(limit).__name__}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be 1 or more, not {limit}")
    items = iter(items)
    if executor is None:
        return _map_here(function, items, limit)
    if not hasattr(executor, "submit"):
        raise TypeError(f"executor must have submit(), as concurrent.futures.Executor; {type(executor).__name__} "
                        "has not")
    return _map_on(executor, function, items, limit)


def _map_here(function, items, limit):
    results = []
    cut = []  # what ended a call that the scope had not told to end: there is no result
    own = None  # an error of `items`
    room = None if limit is None else bine.Semaphore(limit)

    def work(index, item):
        try:
            results[index] = function(item)
        except (bine.Cancelled, bine.Exit) as error:
            if not scope.cancelled:
                cut.append(error)
                scope.cancel()
            raise
        if room is not None:
            room.release()

    try:
        with bine.Scope() as scope:
            while True:
                if room is not None:
                    room.acquire()
                try:
                    item = next(items)
                except StopIteration:
                    break
                except BaseException as error:
                    own = error
                    raise
                results.append(None)
                scope.spawn(work, len(results) - 1, item)
                item = None
    except BaseExceptionGroup as group:
        if group is own:
            raise
        failure = group
    else:
        if not cut:
            return results
        failure = BaseExceptionGroup("calls were cancelled", cut)
    finally:
        own = None
    results = None
    _raise_first(failure)


def _raise_first(group):
    """One error as it is; of several the first, with all of them as its cause."""
    first = group.exceptions[0]
    try:
        if len(group.exceptions) > 1:
            raise first from group
        raise first
    finally:
        del first, group


def _map_on(executor, function, items, limit):
    if on_owner() and not can_wait():
        raise bine.NotInMicroThread("parallel_map() has to wait, which only a micro-thread can: see bine.spawn()")
    results = []
    running = {}  # future -> index of its result
    ended = bine.SimpleQueue()

    def take_one():
        future = ended.get()
        results[running.pop(future)] = future.result()

    try:
        while True:
            while running and (not ended.empty() or len(running) == limit):
                take_one()
            try:
                item = next(items)
            except StopIteration:
                break
            future = executor.submit(function, item)
            running[future] = len(results)
            results.append(None)
            future.add_done_callback(ended.put)
        while running:
            take_one()
    finally:
        for future in running:
            future.cancel()
    return results
