"""A trained model on disk: a folder with weights (safetensors) and settings (JSON). No pickle.

Data flow: training -> [trained model] -> reconstruction.
The folder is sufficient for a reconstruction: it holds the probe and everything that the network
is built from. The training scan is not needed.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Complex
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ptycho.errors import ModelError
from ptycho.io.atomic import file_checksum, replacing, write_json
from ptycho.learning.model import PtychoModel
from ptycho.learning.model_files import MODEL_FILE, WEIGHTS_FILE
from ptycho.networks import NETWORKS

FORMAT_VERSION = 2

_CHECKSUM = "weights_sha256"  # entry of the settings file; older folders have none


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What a model is built from, and how it was trained."""

    network: str
    """Name in `ptycho.networks.NETWORKS`."""

    network_options: dict[str, Any]
    """Keyword arguments of its class, whole numbers."""

    gridsize: int
    """Groups have gridsize^2 members."""

    neighbor_count: int
    """K, nearest positions from which a training group was chosen; 0 at gridsize 1."""

    frame_size: int
    """N, pixels per side of a frame."""

    n_modes: int
    """Incoherent probe modes."""

    training: dict[str, Any] = field(default_factory=dict)
    """For information: data, groups, loss, seed, versions, final losses."""

    format_version: int = FORMAT_VERSION
    """Of the folder."""


def build_model(settings: ModelSettings, probe: Complex[Tensor, "mode row col"]) -> PtychoModel:
    """Build the untrained model that the settings describe.

    Args:
        settings: names and sizes.
        probe: modes in sqrt(photons) per object pixel.

    Raises:
        ConfigError: If the network is unknown.
        ModelError: If its options are unknown.
    """
    build = NETWORKS.find(settings.network)
    try:
        network = build(group_size=settings.gridsize**2, **settings.network_options)
    except TypeError as error:
        raise ModelError(f"network {settings.network}: {error}; expected its options") from None
    return PtychoModel(network, probe)


def save_model(folder: Path, model: PtychoModel, settings: ModelSettings) -> None:
    """Write weights and settings, each file atomically.

    Args:
        folder: created if missing.
        model: its weights and its probe are written.
        settings: as given to `build_model`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    with replacing(folder / WEIGHTS_FILE) as temporary:
        save_file(weights, temporary)
        # safetensors makes files readable by their owner only; use the permissions of the folder.
        temporary.chmod((folder.stat().st_mode & 0o444) | 0o200)
        checksum = file_checksum(temporary)
    write_json(folder / MODEL_FILE, asdict(settings) | {_CHECKSUM: checksum})


def general_model() -> Path:
    """Return the folder of the general model that comes with the package."""
    return Path(__file__).parent / "general_model"


def load_model(folder: Path) -> tuple[PtychoModel, ModelSettings]:
    """Read a trained model.

    Args:
        folder: as written by `save_model`.

    Raises:
        ModelError: If a file is missing, damaged or of another version.
    """
    for name in (MODEL_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise ModelError(
                f"{folder}: no {name}; expected the output folder of a finished training"
            )
    content = _read_content(folder / MODEL_FILE)
    settings = _settings_of(folder / MODEL_FILE, content)
    try:
        weights = load_file(folder / WEIGHTS_FILE)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{folder / WEIGHTS_FILE}: {error}; expected safetensors weights; train again"
        ) from None
    _check_weights(folder / WEIGHTS_FILE, content.get(_CHECKSUM))
    shape = (settings.n_modes, settings.frame_size, settings.frame_size)
    model = build_model(settings, torch.ones(shape, dtype=torch.complex64))
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise ModelError(
            f"{folder / WEIGHTS_FILE}: {first}; expected the weights that {MODEL_FILE} describes"
        ) from None
    return model.eval(), settings


def _check_weights(path: Path, expected: str | None) -> None:
    """Refuse weights other than those saved with the settings."""
    if expected is not None and (found := file_checksum(path)) != expected:
        raise ModelError(
            f"{path}: SHA-256 {found}; expected {expected} as in {MODEL_FILE}; the file is damaged "
            "or of another model; train again"
        )


def _read_content(path: Path) -> dict[str, Any]:
    """Return the entries of the settings file, their values checked."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: {error}; expected JSON settings; train again") from None
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise ModelError(
            f"{path}: format_version {version!r}; expected {FORMAT_VERSION}; train again"
        )
    _check_settings(path, content)
    return dict(content)


def _settings_of(path: Path, content: dict[str, Any]) -> ModelSettings:
    names = {f.name for f in fields(ModelSettings)}
    try:
        return ModelSettings(**{k: v for k, v in content.items() if k in names})
    except TypeError as error:
        raise ModelError(f"{path}: {error}; expected the settings of a trained model") from None


def _check_settings(path: Path, content: dict[str, Any]) -> None:
    """Refuse values that no training writes, before a network is built from them."""
    network = content.get("network")
    if not isinstance(network, str) or network not in NETWORKS:
        raise ModelError(f"{path}: network {network!r}; expected one of {', '.join(NETWORKS)}")
    options = content.get("network_options")
    if not isinstance(options, dict):
        raise ModelError(f"{path}: network_options {options!r}; expected names and whole numbers")
    least = {"gridsize": 1, "neighbor_count": 0, "frame_size": 1, "n_modes": 1}
    values = {name: content.get(name) for name in least} | options
    least |= NETWORKS[network].option_minima
    for name, value in values.items():
        if type(value) is not int or value < least.get(name, 1):
            raise ModelError(
                f"{path}: {name} {value!r}; expected a whole number from {least.get(name, 1)} on"
            )
    if options.get("window", 1) > content["frame_size"]:
        raise ModelError(
            f"{path}: window {options['window']}; expected at most frame_size, "
            f"{content['frame_size']}"
        )
