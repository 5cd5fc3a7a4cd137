"""Runtime: Ray. How it starts and ends, how rows are scanned, what fits, what watches over it, jobs.

In: a cluster file.
Out: a connected session, a layout of workers, job logs.
May import: spec and what lies below it.
"""
