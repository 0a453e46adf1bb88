"""A property that is computed once, without a lock: that of `functools.cached_property` in Python 3.11 is held while it
computes, and a child forked in that moment would wait for it for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class lazy(Generic[T]):
    """The method's result, kept in the object's `__dict__` from the first time on.

    class Rows:
        @lazy
        def batch(self) -> int: ...

    Two threads may compute it at the same time; both results are the same, and the later one stays.
    """

    def __init__(self, make: Callable[[Any], T]):
        self.make, self.__doc__ = make, make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> lazy[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> lazy[T] | T:
        if instance is None:
            return self
        value = instance.__dict__[self.name] = self.make(instance)
        return value
