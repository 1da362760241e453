"""``python -m builder`` is the command line."""

import sys

from builder.cli.main import main

sys.exit(main())
