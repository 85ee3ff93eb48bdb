"""Two helpers for the portable tests, where pytest is not there to help."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def eq(got: object, want: object) -> None:
    """Assert that two values are equal, and show both when they are not."""
    assert got == want, "got %r, want %r" % (got, want)


def raises(kind: "type[Exception]", call: "Callable[..., object]", *args: object) -> Exception:
    """Assert that `call(*args)` raises `kind`, and return what it raised."""
    try:
        call(*args)
    except kind as error:
        return error
    raise AssertionError("%s not raised" % kind.__name__)
