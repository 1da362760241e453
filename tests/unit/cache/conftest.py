"""The registry that the tests of the registry's own package have is of use here, too."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "registry"))
