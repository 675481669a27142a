"""What the packages of others read in a file of ours; runs in an environment of theirs.

    python benchmarks/peers_side.py READING FILE... --truth truth.npz --output found.npz

Needs NumPy and the package of one reading, not ptycho. Everything comes from functions of that
package: its reader, its conversion of positions to object pixels, and its forward model.
cdtools and pty-chi then reconstruct for one iteration, which fails if they cannot use the file.
`corners` are (row, col) of the first pixel of the window of each frame in the object, with the
fraction of a pixel; `expected` the intensities that its forward model predicts with the probe and
object of the file, or with those of `truth.npz` where its reader takes none from the file.
"""

import argparse
import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

Found = dict[str, Any]


def cdtools_cxi(files: list[Path], truth: Found) -> Found:
    """Read by `Ptycho2DDataset`, predict by `FancyPtycho`, both of cdtools."""
    import torch
    from cdtools import tools
    from cdtools.datasets import Ptycho2DDataset
    from cdtools.models import FancyPtycho

    dataset = Ptycho2DDataset.from_cxi(files[0])
    basis = dataset.detector_geometry["basis"]
    distance, size = dataset.detector_geometry["distance"], dataset.patterns.shape[-2:]
    wave = tools.initializers.exit_wave_geometry(basis, size, dataset.wavelength, distance)
    found = {
        "frames": dataset.patterns.numpy(),
        "valid": dataset.mask.numpy(),
        "wavelength_m": dataset.wavelength,
        "distance_m": distance,
        "detector_pixel_m": np.linalg.norm(basis, axis=0).mean(),
        "object_pixel_m": float(wave.norm(dim=0).mean()),
        "corners": tools.interactions.translations_to_pixel(wave, dataset.translations).numpy(),
        "corners_are_relative": True,
    }
    model = FancyPtycho.from_dataset(dataset, n_modes=len(truth["probe"]), obj_padding=8)
    first = truth["corners"].min(axis=0)
    row, col = (int(n) - 8 for n in np.floor(first))
    height, width = model.obj.shape
    with torch.no_grad():
        model.obj[:] = torch.from_numpy(_padded(truth["obj"], row, col, height, width))
        model.probe[:] = torch.from_numpy(truth["probe"]) / model.probe_norm
        model.translation_offsets[:] = torch.from_numpy(first - np.floor(first))
        waves = model.interaction(torch.arange(len(dataset)), dataset.translations)
        intensity = model.forward_propagator(waves).abs().square().sum(dim=1)
    for _ in model.Adam_optimize(1, dataset):
        pass
    return found | {"expected": intensity.numpy()}


def _padded(
    obj: np.ndarray, row: int, col: int, height: int, width: int
) -> np.ndarray:  # fmt: skip
    """Return the part of an object that begins at (row, col), 1 outside of it."""
    part = np.ones((height, width), np.complex64)
    rows, cols = row + np.arange(height), col + np.arange(width)
    inside = np.ix_((rows >= 0) & (rows < obj.shape[0]), (cols >= 0) & (cols < obj.shape[1]))
    source = np.ix_(rows[(rows >= 0) & (rows < obj.shape[0])],
                    cols[(cols >= 0) & (cols < obj.shape[1])])  # fmt: skip
    part[inside] = obj[source]
    return part


def ptychodus_cxi(files: list[Path], truth: Found) -> Found:
    """Read by the CXI readers of ptychodus, predict by its simulation."""
    from ptychodus.plugins.cxi_file import CXIProductFileIO

    return _cxi_frames(files[0]) | _product(CXIProductFileIO().read(files[0]))


def ptychodus_nexus(files: list[Path], truth: Found) -> Found:
    """Read NeXus by the CXI readers of ptychodus: it has none for NeXus. No product in there."""
    from ptychodus.plugins.cxi_file import CXIProductFileIO

    with _hdf5().File(files[0]) as file:
        positions = CXIProductFileIO()._read_positions(file)
    y, x = positions.get_coordinates_y_m(), positions.get_coordinates_x_m()
    pixel = truth["object_pixel_m"]
    return _cxi_frames(files[0]) | {
        "corners": np.stack([y, x], axis=1) / pixel, "corners_are_relative": True
    }  # fmt: skip


def _hdf5() -> ModuleType:
    import h5py

    return h5py


def _cxi_frames(path: Path) -> Found:
    from ptychodus.plugins.cxi_file import CXIDiffractionFileReader

    dataset = CXIDiffractionFileReader().read(path)
    metadata = dataset.get_metadata()
    energy = metadata.photon_energy_eV
    return {
        "frames": np.concatenate([array.get_patterns() for array in dataset]),
        "valid": ~dataset.get_bad_pixels(),
        "distance_m": metadata.detector_distance_m,
        "detector_pixel_m": metadata.detector_pixel_geometry.width_m,
    } | ({} if energy is None else {"wavelength_m": _wavelength(energy)})


def _wavelength(energy_ev: float) -> float:
    from ptychodus.api.constants import energy_eV_to_wavelength_m

    return energy_eV_to_wavelength_m(energy_ev)


def ptychodus_product(files: list[Path], truth: Found) -> Found:
    """Read by `load_product` and `load_diffraction_data`, predict by ptychodus."""
    from ptychodus.api.io import load_diffraction_data, load_product

    data = load_diffraction_data(files[1])
    return _product(load_product(files[0])) | {
        "frames": data.get_patterns(),
        "valid": ~data.get_bad_pixels(),
        "detector_pixel_m": data.get_pixel_geometry().width_m,
    }


def ptychodus_fold_slice(files: list[Path], truth: Found) -> Found:
    """Read a MATLAB file of PtychoShelves by ptychodus, predict by its simulation."""
    from ptychodus.plugins.fold_slice.product_file import FoldSliceProductFileReader

    reader = FoldSliceProductFileReader(float(truth["detector_pixel_m"]))
    return _product(reader.read(files[0]))


def _product(product: Any) -> Found:
    """Return the content of a product of ptychodus, and what its simulation predicts."""
    from ptychodus.api.simulate.diffraction import generate_diffraction_data

    obj, probe, metadata = product.object_, product.probes, product.metadata
    geometry, size = obj.get_geometry(), probe.get_array().shape[-1]
    positions = product.probe_positions
    corners = (
        np.stack(
            [
                geometry.map_probe_positions_to_object_y_px(positions),
                geometry.map_probe_positions_to_object_x_px(positions),
            ],
            axis=1,
        )
        - (size - 1) / 2
    )  # as `ProbeGeometry.resolve_patch_bounds`
    return {
        "corners": corners,
        "probe": probe.get_array()[0] if probe.get_array().ndim == 4 else probe.get_array(),
        "obj": obj.get_array()[0],
        "object_pixel_m": geometry.pixel_width_m,
        "distance_m": metadata.detector_distance_m,
        "wavelength_m": _wavelength(metadata.photon_energy_eV),
        "expected": generate_diffraction_data(product).get_patterns(),
    }


def ptypy_ptyr(files: list[Path], truth: Found) -> Found:
    """Read by `ptypy.io.h5read`; place views as `ptypy.core.Storage` does."""
    from ptypy import io

    content = io.h5read(str(files[0]))["content"]
    (obj,), (probe,) = content["obj"].values(), content["probe"].values()
    (positions,) = content["positions"].values()
    size = probe["data"].shape[-1]
    return {
        "corners": (positions - obj["_origin"]) / obj["_psize"] - size // 2,
        "probe": probe["data"],
        "obj": obj["data"][0],
        "object_pixel_m": obj["_psize"][0],
        "wavelength_m": 1.2398419843320026e-9 / obj["_energy"],
    }


def ptychi_arrays(files: list[Path], truth: Found) -> Found:
    """Build a task of pty-chi with these arrays and its defaults, predict by its forward model."""
    with np.load(files[0]) as file:
        arrays = dict(file)
    _stand_in_for_torchvision()
    import torch
    from ptychi.api import Devices, LSQMLOptions
    from ptychi.api.task import PtychographyTask

    size = arrays["data"].shape[-1]
    options = LSQMLOptions()
    options.data_options.wavelength_m = float(arrays["wavelength_m"])
    options.object_options.pixel_size_m = float(arrays["pixel_size_m"])
    options.reconstructor_options.default_device = Devices.CPU
    task = PtychographyTask(
        options,
        diffraction_data=arrays["data"],
        valid_pixel_mask=arrays["valid_pixel_mask"],
        object_data=arrays["object"],
        probe_data=arrays["probe"],
        probe_position_y_px=arrays["probe_position_y_px"],
        probe_position_x_px=arrays["probe_position_x_px"],
        opr_mode_weights_data=np.ones((len(arrays["data"]), 1), np.float32),
    )
    task.build()
    model = task.reconstructor.forward_model
    with torch.no_grad():
        absolute, _, _ = model.get_probe_grid_position_data()
        numbers = torch.arange(len(arrays["data"]))
        expected = torch.fft.fftshift(model.forward(numbers), dim=(-2, -1))
    patterns = task.dataset.patterns.cpu().numpy()
    found = {
        "frames": np.fft.fftshift(patterns, axes=(-2, -1)),
        "valid": np.fft.fftshift(task.dataset.valid_pixel_mask.cpu().numpy()),
        "corners": absolute.cpu().numpy() - (size - 1) / 2,  # as its `extract_patches_integer`
        "probe": task.get_data_to_cpu("probe", as_numpy=True)[0],
        "obj": task.get_data_to_cpu("object", as_numpy=True)[0],
        "object_pixel_m": float(task.object_options.pixel_size_m),
        "wavelength_m": float(task.data_options.wavelength_m),
        "expected": expected.cpu().numpy(),
    }
    task.run(1)
    return found


def _stand_in_for_torchvision() -> None:
    """Let pty-chi be imported without torchvision, from which it takes one blur."""
    names = ("torchvision", "torchvision.transforms")
    sys.modules.update({name: ModuleType(name) for name in names})
    vars(sys.modules[names[1]])["GaussianBlur"] = None


READINGS: dict[str, tuple[str, Callable[[list[Path], Found], Found]]] = {
    "cdtools_cxi": ("cdtools-py", cdtools_cxi),
    "ptychodus_cxi": ("ptychodus", ptychodus_cxi),
    "ptychodus_product": ("ptychodus", ptychodus_product),
    "ptychodus_nexus": ("ptychodus", ptychodus_nexus),
    "ptychodus_fold_slice": ("ptychodus", ptychodus_fold_slice),
    "ptychi_arrays": ("ptychi", ptychi_arrays),
    "ptypy_ptyr": ("python-ptypy", ptypy_ptyr),
}


def main() -> None:
    """Read the files of one writer and save what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reading", choices=READINGS)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    package, read = READINGS[args.reading]
    with np.load(args.truth) as file:
        truth = dict(file)
    found = read(args.files, truth)
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        version = "?"
    np.savez(args.output, version=version, **found)


if __name__ == "__main__":
    main()
