"""Events: who is told of what happens to models and runs. Nothing here can fail a run or hold it up for long.

In: the keys `hooks` and `lineage` of the cluster file.
Out: commands that run, URLs that get a POST, and OpenLineage events.
May import: what comes before the registry.
"""
