"""Everything public has a docstring, everything that is called a signature."""
import bine
import host
import inspect
import pydoc


def help_text(thing):
    return pydoc.plain(pydoc.render_doc(thing))


def public(of):
    return [(name, value) for name, value in inspect.getmembers(of) if not name.startswith("_")]


def test_every_public_name_of_bine_has_a_docstring():
    assert bine.__doc__
    for name, value in public(bine):
        assert inspect.getdoc(value), f"bine.{name}"
        assert value.__doc__, f"bine.{name}"


def test_every_callable_of_bine_has_a_signature():
    for name, value in public(bine):
        if inspect.isroutine(value):
            inspect.signature(value)


def test_every_method_has_a_docstring_and_a_signature():
    for kind in (bine.MicroThread, bine.Deferred, bine.Generator, bine.timeout, bine.Scope, bine.Pipe, bine.PipeWriter,
                 bine.PipeReader):
        for name, value in public(kind):
            assert inspect.getdoc(value), f"{kind.__name__}.{name}"
            if callable(value):
                inspect.signature(value)


def test_signatures_read_as_they_are_meant():
    assert str(inspect.signature(bine.spawn)) == "(function, /, *args, **kwargs)"
    assert str(inspect.signature(bine.sleep)) == "(seconds, /, *, real=False)"
    assert str(inspect.signature(bine.pause)) == "()"
    assert str(inspect.signature(bine.next_frame)) == "()"
    assert str(inspect.signature(bine.time)) == "()"
    assert str(inspect.signature(bine.wait_readable)) == "(fd, timeout=None)"
    assert str(inspect.signature(bine.wait_writable)) == "(fd, timeout=None)"
    assert str(inspect.signature(bine.current)) == "()"
    assert str(inspect.signature(bine.MicroThread.join)) == "(self, /, timeout=None)"
    assert str(inspect.signature(bine.Deferred.wait)) == "(self, /, timeout=None)"
    assert str(inspect.signature(bine.timeout)) == "(seconds)"
    assert str(inspect.signature(bine.generate)) == "(function, /, *args, **kwargs)"
    assert str(inspect.signature(bine.emit)) == "(value, /)"


def test_what_time_is_meant_is_said():
    assert "game time" in bine.sleep.__doc__ and "real time" in bine.sleep.__doc__
    assert "Game time" in bine.time.__doc__
    assert "real time" in bine.wait_readable.__doc__
    assert "frame" in bine.next_frame.__doc__


def test_types_and_exceptions_belong_to_bine():
    for name, value in public(bine):
        if inspect.isclass(value):
            assert value.__name__ == name, name
            assert value.__module__ == ("_thread" if name == "Lock" else "bine"), name  # pickled as threading's


def test_help_on_bine_shows_all_of_it():
    text = help_text(bine)
    for name, _ in public(bine):
        assert name in text, name
    assert "Micro-threads on the host's main loop" in text


def test_help_on_each_name():
    for name, value in public(bine):
        assert name in help_text(value)


def test_host_functions_have_signatures():
    signature = inspect.signature(host.add)
    assert str(signature) == "(a: int, b: int = 2, *, c: int = 3, d: int) -> list"
    assert str(inspect.signature(host.first)) == "(a: int, /, b: int = 0) -> list"
    assert str(inspect.signature(host.maybe)) == "(x: int | None = None) -> list"
    assert str(inspect.signature(host.nothing)) == "() -> None"
    assert str(inspect.signature(host.anything)) == "(x) -> list"


def test_a_deferring_signature_names_deferred():
    assert inspect.signature(host.deferred).return_annotation == bine.Deferred[object]


def test_bind_works_on_host_functions():
    bound = inspect.signature(host.add).bind(1, d=2)
    bound.apply_defaults()
    assert dict(bound.arguments) == {"a": 1, "b": 2, "c": 3, "d": 2}


def test_annotations_of_host_functions_are_types():
    import typing
    assert host.half.__annotations__ == {"x": float, "return": float}
    assert typing.get_type_hints(host.half) == {"x": float, "return": float}


def test_host_functions_have_names_modules_and_docs():
    assert host.one.__name__ == host.one.__qualname__ == "one" and host.one.__module__ == "host"
    assert host.one.__doc__ == "Takes one." and host.add.__doc__ is None
    assert repr(host.one) == "<host function host.one(n: int) -> list>"


def test_help_on_a_host_function():
    text = help_text(host.one)
    assert "one(n: int) -> list" in text and "Takes one." in text


def test_help_on_a_host_module_lists_its_functions():
    text = help_text(host)
    assert "add(a: int, b: int = 2, *, c: int = 3, d: int) -> list" in text
    assert "Takes one." in text


def test_host_functions_are_routines_to_tools():
    assert callable(host.one) and inspect.isroutine(host.one)
    assert "one" in dir(host)


def test_the_types_of_bine_cannot_be_made_by_hand():
    for kind in (bine.MicroThread, bine.Deferred, bine.Generator):
        try:
            kind()
        except TypeError as error:
            assert "cannot create" in str(error)
        else:
            raise AssertionError(kind)
