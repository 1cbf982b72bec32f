"""MLflow: the only writer of its database. What is to be written comes from the result files (`summary`), only what is absent is.

Others import `tracker.Tracker`, `summary` and `store` (where tracking may be kept); MLflow itself is imported in `tracker` and
`database` alone.
"""
