"""A local web application for many runs: list, open, compare, follow a training. Reads only.

Data flow: folders of runs -> [catalogue -> table, panels -> application -> server] -> browser.
`catalogue` finds the runs, `table` lists them, `panels` shows one and `pair` compares two with the
figures of `ptycho.report`, `application` combines them into a page that follows the folder,
`server` answers only the browser of this machine.
"""
