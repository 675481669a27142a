"""Scans whose truth is known: an object, a probe, a path and photons in, a RawData out.

Way of the data: [objects + probes + scans -> simulate -> noise] -> RawData -> groups -> ...
The frames come from the same forward model that training uses (`ptycho.physics`), so the truth
explains them exactly, up to the shot noise.
"""
