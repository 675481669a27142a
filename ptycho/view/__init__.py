"""A local web application over many runs: list, open, compare, watch a training. Reads only.

Way of the data: ... -> [folders of runs -> report in a browser].
`catalogue` finds the runs, `table` lists them, `panels` draws one and `pair` two of them with the
figures of `ptycho.report`, `application` ties them to a page that follows them, `server` lets only
this machine's browser in.
"""
