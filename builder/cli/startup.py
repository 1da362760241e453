"""What makes the builder start sooner. Whoever runs it waits for this on every build; nothing depends on it."""

from __future__ import annotations

import dataclasses
import gc
import importlib
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any


def collect_rarely() -> None:
    """Have Python look for cyclic garbage only once much has been allocated.

    A build makes many small objects that live to its end (modules, the entries of trees) and hardly any cycles: looking
    through them again and again, as by default, takes a quarter of its time.
    """
    gc.set_threshold(100_000, 20, 100)


def compile_methods_late() -> None:
    """Have `dataclasses` compile the methods of a class when they are first called, instead of when it is imported.

    Compiling them takes a third of the time of all imports, and a build calls few of them. Where the standard library
    makes them in another way (since Python 3.13) nothing changes.
    """
    make = getattr(dataclasses, "_create_fn", None)
    if make is not None and make.__name__ != "late":
        dataclasses._create_fn = _late(make)  # type: ignore[attr-defined]


def import_ahead(module: str) -> None:
    """Import a module in the background, while the builder waits for other processes and servers."""
    Thread(target=_import, args=(module,), name="import", daemon=True).start()


def _import(module: str) -> None:
    with suppress(Exception):  # it comes again, and is told, where the module is needed
        importlib.import_module(module)


def _late(make: Callable[..., Any]) -> Callable[..., Any]:
    def late(name: str, *recipe: Any, **more: Any) -> Callable[..., Any]:
        made: Callable[..., Any] | None = None

        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal made
            if made is None:
                made = make(name, *recipe, **more)
                made.__qualname__ = method.__qualname__
                _replace(type(self), name, method, made)
            return made(self, *args, **kwargs)

        method.__name__ = name
        return method

    return late


def _replace(cls: type, name: str, old: object, new: object) -> None:
    """Put `new` in the place of `old`, wherever in the ancestry of `cls` that is, if nothing is wrapped around it."""
    for each in cls.__mro__:
        if each.__dict__.get(name) is old:
            setattr(each, name, new)
