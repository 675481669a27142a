"""Scan files of any known format: `read_scan` in, `write_scan` out.

Way of the data: [file] -> RawData -> groups -> batches -> ... -> report.
`formats` is the table of what is known; each other module reads one format. Whatever the file,
what comes out is a RawData: positions as (row, col) in object pixels, zero frequency at N//2,
frames tagged as counts, intensity or amplitude.
"""

from ptycho.io.formats import FORMATS, read_mask, read_scan, recognise, write_scan

__all__ = ["FORMATS", "read_mask", "read_scan", "recognise", "write_scan"]
