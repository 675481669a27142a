"""RawData and the two grouping functions under the import path of the users' documents."""

from ptycho.scan.raw_data import RawData, get_neighbor_indices, sample_rows

__all__ = ["RawData", "get_neighbor_indices", "sample_rows"]
