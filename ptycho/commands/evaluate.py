"""`ptycho evaluate`: metrics of a reconstruction, and a figure.

Data flow: settings -> [reconstruction.npz + truth -> metrics] -> [folder].
"""

import logging
from pathlib import Path

from ptycho.api.evaluation import score
from ptycho.api.reconstruction_file import file_of
from ptycho.api.saving import save_score
from ptycho.settings.base import part_of, to_dict
from ptycho.settings.evaluate import EvaluateConfig, EvaluateSettings

log = logging.getLogger(__name__)


def run(config: EvaluateConfig) -> Path:
    """Compare a reconstruction with a truth, another one, or its frames; write metrics and figures.

    Returns:
        The folder with `metrics.json` and `comparison_plot.png`: output_dir, or that of the
        reconstruction, whose earlier metrics are kept as far as the truth has no part in them.

    Raises:
        ConfigError: If there is nothing to compare with.
        DataError: If a file is missing or foreign, or the objects share no known pixel.
    """
    settings = part_of(config, EvaluateSettings)
    found = score(config.reconstruction, config.truth, config.test_data, settings)
    output = config.output_dir or file_of(config.reconstruction).parent
    save_score(found, output, settings=to_dict(config), report=config.report)
    log.info("results in %s", output)
    return output
