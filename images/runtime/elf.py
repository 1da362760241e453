"""ELF files: what they load, and making them load it from elsewhere."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """Reads and changes ELF files with the programs patchelf and strip.

    Attributes:
        patchelf: the program; strip is looked up in PATH.
    """

    patchelf: Path

    def loader(self, program: Path) -> Path:
        """The dynamic loader that `program` asks the kernel for (PT_INTERP)."""
        return Path(self._run("--print-interpreter", program))

    def libraries(self, file: Path, loader: Path) -> dict[str, Path]:
        """Every library that `file` loads, directly or not, as `loader` finds it here: its file by its name.

        Raises RuntimeError naming what is not found.
        """
        needed = self._run("--print-needed", file)
        if not needed:
            return {}
        listed = subprocess.run([loader, "--list", file], check=True, capture_output=True, text=True).stdout
        found = {}
        for line in listed.splitlines():
            name, arrow, place = line.strip().partition(" => ")
            if arrow and "not found" in place:
                raise RuntimeError(f"{file} needs {name}, which is not found")
            if arrow:
                found[Path(name).name] = Path(place.partition(" (")[0])
        return found

    def load_from(self, directory: str, file: Path) -> None:
        """Let a program, and all that it loads, find libraries in `directory` before anywhere else.

        It is the old attribute DT_RPATH that holds for what a library loads, too; DT_RUNPATH does not.
        """
        self._run("--force-rpath", "--set-rpath", directory, file)

    def start_with(self, loader: str, program: Path) -> None:
        """Let the kernel start `program` with another dynamic loader."""
        self._run("--set-interpreter", loader, program)

    def forget_places(self, library: Path) -> None:
        """Remove the places that a library itself names for its libraries."""
        if self._run("--print-rpath", library):
            self._run("--remove-rpath", library)

    @staticmethod
    def strip(library: Path) -> None:
        """Remove what only debuggers and linkers read."""
        subprocess.run(["strip", "--strip-unneeded", library], check=True)

    def _run(self, *arguments: str | Path) -> str:
        done = subprocess.run([self.patchelf, *arguments], check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()
