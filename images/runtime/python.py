"""The interpreter that runs this, its standard library, and the packages that pip has installed."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path

from runtime.trees import compile_tree, copy_tree, every_file

_UNWANTED_MODULES = (
    *("__pycache__", "site-packages", "dist-packages", "test", "tests", "config-*", "EXTERNALLY-MANAGED"),
    *("ensurepip", "idlelib", "lib2to3", "pydoc_data", "tkinter", "turtledemo", "turtle.py", "venv", "distutils"),
    *("sqlite3", "curses", "_sqlite3.*", "_curses*.so", "_tkinter.*", "readline.*", "_dbm.*", "_gdbm.*", "nis.*"),
    *("_test*.so", "_ctypes_test.*", "xx*.so", "_xx*.so"),
)
_UNWANTED_OF_PACKAGES = (
    *("__pycache__", "bin", "tests", "*.pyi", "*.pxd", "*.pyx", "*.c", "*.h", "RECORD", "INSTALLER", "REQUESTED"),
    *("direct_url.json", "pycparser*"),  # generates code for cffi, which is done
    "zstandard/_cffi.*",  # for interpreters without the C extension
)


def interpreter() -> Path:
    """The program itself, also where this runs in a virtual environment."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def copy_python(target: Path, shown_as: str) -> Path:
    """Copy the interpreter and its library to `target`; returns the program that is there.

    Args:
        shown_as: where `target` will be in the image.
    """
    program = target / "bin/python3"
    program.parent.mkdir(parents=True)
    shutil.copy(interpreter(), program)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = target / "lib" / name
    copy_tree(Path(sysconfig.get_path("stdlib")), library, _UNWANTED_MODULES)
    compile_tree(library, f"{shown_as}/lib/{name}")
    return program


def copy_packages(packages: Path, target: Path, shown_as: str) -> None:
    """Copy what ``pip install --target`` has put into `packages`."""
    copy_tree(packages, target, _UNWANTED_OF_PACKAGES)
    compile_tree(target, shown_as)


def extensions(directory: Path) -> list[Path]:
    return [path for path in every_file(directory) if path.suffix == ".so"]
