"""`ptycho report`: write the page of a run from the files in its folder.

Data flow: [folder of a run -> page].
"""

from pathlib import Path

from ptycho.report.page import write_page
from ptycho.settings.report import ReportConfig


def run(config: ReportConfig) -> Path:
    """Write the page of a run; return it.

    Raises:
        DataError: If the folder is not that of a run, or a file in it is damaged.
    """
    return write_page(config.folder)
