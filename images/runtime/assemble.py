"""The directory ``/kaniko`` of the images.

==========================  ============================================================================
``executor``, ``warmer``    the builder's command line
``git``                     git, as the builder runs it
``runtime/bin/python3``     the interpreter
``runtime/lib``             the dynamic loader, every shared library, the standard library as byte code
``runtime/packages``        the builder and what it depends on
``runtime/git``             git's own programs
``licenses``                 of Python, git and the libraries, by Debian's names of the packages
``ssl/certs``               ``ca-certificates.crt``, and what a job adds to it
``.docker``                 for ``config.json``
``state``                   the builder's state directory
==========================  ============================================================================
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from runtime.elf import Elf
from runtime.licenses import copy_licenses
from runtime.places import NAME_SERVICES, move_places
from runtime.python import copy_packages, copy_python, extensions
from runtime.trees import install, settle

HOME = "/kaniko"
_PROGRAMS = Path(__file__).parent / "programs"
_GIT = {"git": "git", "git-remote-http": "git-remote-http", "git-remote-https": "git-remote-http"}
# What is loaded by name while a program runs: to end a thread (pthread_exit).
_LOADED_LATER = ("libgcc_s.so.1",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the runtime is made of, besides the interpreter that runs this.

    Attributes:
        packages: the directory of ``pip install --target``.
        patchelf: the program.
        git_core: the directory of git's own programs.
        certificates: the CA certificates, in PEM format.
    """

    packages: Path
    patchelf: Path
    git_core: Path
    certificates: Path


def assemble(target: Path, sources: Sources) -> None:
    """Make the directory `target`, which is `HOME` in the image. Raises RuntimeError if something is missing."""
    runtime = target / "runtime"
    python = copy_python(runtime, f"{HOME}/runtime")
    copy_packages(sources.packages, runtime / "packages", f"{HOME}/runtime/packages")
    git = _copy_git(sources.git_core, runtime / "git")
    libraries = _own_libraries(Elf(patchelf=sources.patchelf), runtime, [python, *git])
    copy_licenses([Path(sys.executable), sources.git_core / "git", *libraries], target / "licenses")
    _install_programs(target)
    _install_files(target, sources.certificates)
    settle(target)
    _open_to_others(target)


def _copy_git(core: Path, target: Path) -> list[Path]:
    target.mkdir(parents=True)
    for name, source in _GIT.items():
        if name == source:
            shutil.copy(core / source, target / name)
        else:
            (target / name).symlink_to(source)
    return [target / name for name, source in _GIT.items() if name == source]


def _own_libraries(elf: Elf, runtime: Path, programs: list[Path]) -> list[Path]:
    """Copy each library that is loaded by any file of the runtime, and let it be loaded from there alone.

    Returns those of the system.
    """
    directory = runtime / "lib"
    loader = elf.loader(programs[0])
    found = {loader.name: loader}
    for extension in extensions(runtime):
        elf.strip(extension)
    for file in [*programs, *extensions(runtime)]:
        found |= elf.libraries(file, loader)
    found |= {name: found["libc.so.6"].with_name(name) for name in _LOADED_LATER}
    copied = {name: source for name, source in sorted(found.items()) if not source.is_relative_to(runtime)}
    for name, source in copied.items():
        shutil.copy(source, directory / name)
        elf.forget_places(directory / name)
        move_places(directory / name)
    for program in programs:
        elf.start_with(f"{HOME}/runtime/lib/{loader.name}", program)
        # the first serves a copy at another place, the second where /proc is not mounted
        elf.load_from(f"$ORIGIN/../lib:{HOME}/runtime/lib", program)
    return list(copied.values())


def _install_programs(target: Path) -> None:
    for name in ("executor", "git"):
        install(_PROGRAMS / name, target / name, 0o755)
    install(_PROGRAMS / "git-submodule", target / "runtime/git/git-submodule", 0o755)
    (target / "warmer").symlink_to("executor")


def _install_files(target: Path, certificates: Path) -> None:
    install(certificates, target / "ssl/certs/ca-certificates.crt", 0o644)
    (target / NAME_SERVICES).write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    for directory in (".docker", "state"):
        (target / directory).mkdir()


def _open_to_others(target: Path) -> None:
    """Let an arbitrary user build, and write what a job writes if its group is root's, as that of OpenShift's users."""
    (target / "state").chmod(0o1777)
    for path in (".docker", "ssl/certs", "ssl/certs/ca-certificates.crt"):
        mode = (target / path).stat().st_mode
        (target / path).chmod(mode | (mode & 0o700) >> 3)
