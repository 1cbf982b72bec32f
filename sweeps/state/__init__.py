"""Where a sweep stands and whether it can start, from files alone: folders, status, the check before anything starts.

`folder` knows every file name of a sweep; `preflight.preflight` gathers what keeps it from running here. Nothing here imports Ray.
"""
