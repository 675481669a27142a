"""A local web application over many runs: list, open, compare, watch a training. Reads only.

Way of the data: ... -> [folders of runs -> report in a browser].
`catalogue` finds the runs, `panels` draws one or two of them with the figures of `ptycho.report`,
`application` ties both to a page that follows them, `server` lets only this machine's browser in.
"""
