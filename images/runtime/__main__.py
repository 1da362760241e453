"""``python -m runtime --target DIRECTORY ...``: assemble the runtime (see `runtime.assemble`)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from runtime.assemble import Sources, assemble


def main() -> int:
    parser = argparse.ArgumentParser(prog="runtime", description=sys.modules["runtime"].__doc__)
    parser.add_argument("--target", type=Path, required=True, help="where the directory /kaniko of the image is made")
    parser.add_argument("--packages", type=Path, required=True, help="what `pip install --target` has installed")
    parser.add_argument("--patchelf", type=Path, required=True, help="the program")
    parser.add_argument("--git", type=Path, required=True, help="what `git --exec-path` says")
    parser.add_argument("--certificates", type=Path, required=True, help="a file with all CA certificates")
    given = parser.parse_args()
    sources = Sources(
        packages=given.packages, patchelf=given.patchelf, git_core=given.git, certificates=given.certificates
    )
    assemble(given.target, sources)
    return 0


if __name__ == "__main__":
    sys.exit(main())
