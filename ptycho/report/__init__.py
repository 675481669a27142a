"""Figures, pages and tables of objects, scans and runs.

Data flow: ... -> object -> metrics -> [report].
`images`, `curves`, `numbers` and `tables` hold what is shown; `drawing`, `figures` and their
neighbours draw it with Matplotlib, `pictures`, `plots`, `scan_view` and `page` with Bokeh.
"""
