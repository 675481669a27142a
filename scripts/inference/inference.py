"""Reconstruct a scan with a trained model: `python scripts/inference/inference.py --help`.

The same as the installed command `ptycho_inference`.
"""

import sys

from ptycho.commands.cli import inference_main

if __name__ == "__main__":
    sys.exit(inference_main())
