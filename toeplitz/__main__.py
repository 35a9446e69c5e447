"""`python -m toeplitz` is the command `toeplitz`."""

import sys

from toeplitz.cli import main

sys.exit(main())
