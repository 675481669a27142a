"""The names of all files in the folder of a run, and which kind of run writes which."""

from collections.abc import Mapping

from ptycho.learning.model_files import MODEL_FILE, WEIGHTS_FILE

RECORD_FILE = "run.json"
SETTINGS_FILE = "settings_used.yaml"
LOG_FILE = "run.log"
PAGE_FILE = "report.html"

RECONSTRUCTION_FILE = "reconstruction.npz"
METRICS_FILE = "metrics.json"
CALIBRATION_FILE = "calibration.npz"
SELECTION_FILE = "selection.npz"
COVERAGE_FILE = "coverage.json"
TEST_GROUPS_FILE = "test_groups.npy"
EVALUATED_FRAMES_FILE = "evaluated_frames.npz"
HISTORY_FILE = "history.jsonl"

AMPLITUDE_FIGURE = "reconstructed_amplitude.png"
PHASE_FIGURE = "reconstructed_phase.png"
COMPARISON_FIGURE = "comparison_plot.png"
PROBE_FIGURE = "probe.png"
UNCERTAINTY_FIGURE = "uncertainty.png"
GROUPS_FIGURE = "groups.png"
CURVES_FIGURE = "training_curves.png"

CHECKPOINTS_FOLDER = "checkpoints"
LOGS_FOLDER = "logs"
PICTURE_FILE = f"{LOGS_FOLDER}/current.npz"
"""The object as a training sees it: `object`, `coverage`, `origin`, `epoch`."""

EARLIER_FOLDER = "earlier"
"""Where the results of earlier runs in the same folder are kept."""

LOCK_FILE = ".run.lock"
"""Held by the run that writes into the folder; removed at its end."""

ALWAYS = (SETTINGS_FILE, LOG_FILE, PAGE_FILE, RECORD_FILE)
"""Written by every run; the record stands last, so that it is moved last."""

_EVALUATION = (METRICS_FILE, EVALUATED_FRAMES_FILE, COMPARISON_FIGURE)
_OBJECT = (
    RECONSTRUCTION_FILE, CALIBRATION_FILE, SELECTION_FILE, AMPLITUDE_FIGURE, PHASE_FIGURE,
    PROBE_FIGURE, UNCERTAINTY_FIGURE, "trust.png", *_EVALUATION,
)  # fmt: skip
_MODEL = (WEIGHTS_FILE, MODEL_FILE)

FILES: Mapping[str, tuple[str, ...]] = {
    "train": (
        *_MODEL, CHECKPOINTS_FOLDER, LOGS_FOLDER, HISTORY_FILE, SELECTION_FILE, COVERAGE_FILE,
        TEST_GROUPS_FILE, GROUPS_FIGURE, CURVES_FIGURE, PROBE_FIGURE,
    ),
    "pretrain": _MODEL,
    "reconstruct": _OBJECT,
    "refine": _OBJECT,
    "evaluate": _EVALUATION,
    "groups": (COVERAGE_FILE, GROUPS_FIGURE),
}  # fmt: skip
"""Kind of run -> files and folders that it may write, apart from those of `ALWAYS`."""

RESULTS: Mapping[str, str] = {
    "train": WEIGHTS_FILE,
    "pretrain": WEIGHTS_FILE,
    "reconstruct": RECONSTRUCTION_FILE,
    "refine": RECONSTRUCTION_FILE,
    "evaluate": METRICS_FILE,
    "groups": COVERAGE_FILE,
}
"""Kind of run -> its main result."""
