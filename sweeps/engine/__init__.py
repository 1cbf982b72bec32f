"""Ray: the cluster and its limits, Tune that schedules trials, the ranks of a trial, the signals that end a run.

Others import `cluster.started`, `tune.train_all`, `signals`, `jobs` (a cluster's job
server) and `nodes` (what its machines can do); everything that a trial decides, it decides from its own folder.
"""
