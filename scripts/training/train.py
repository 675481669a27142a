"""Train a network on one scan: `python scripts/training/train.py --help`.

The same as the installed command `ptycho_train`.
"""

import sys

from ptycho.commands.cli import train_main

if __name__ == "__main__":
    sys.exit(train_main())
