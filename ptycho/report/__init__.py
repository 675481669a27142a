"""What a person looks at: figures of objects, scans and training, and the numbers of a run.

Way of the data: ... -> object -> metrics -> [report].
The only place that imports matplotlib; `numbers` does without it.
"""
