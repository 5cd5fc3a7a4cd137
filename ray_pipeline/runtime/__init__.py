"""Runtime: Ray's session, scans, layout of workers, watchdog and jobs, and the state of the process.

In: a cluster file.
Out: a connected session, a layout of workers, job logs.
May import: spec and what is below it.
"""
