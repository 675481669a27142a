"""The experiment as equations: propagation, windows of the object, the probe, the forward model.

Way of the data: file -> RawData -> groups -> batches -> network + [physics] -> ... -> report.
Knows tensors and pixels only: no files, no scans, no networks.

The whole measurement in one line:
    intensity = detector_intensity(exit_waves(cut_patches(obj, corners, size), probe))
"""
