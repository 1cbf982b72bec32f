"""MLflow: the only writer of its database. What is to be written comes from the result files (`summary`), only what is absent is.

From there it goes as a run's log (`runlog`) into the sweep's storage (`spool`), and from there, once and again, to the store (`outbox`, by
`tracker`). Others import `outbox.Outbox`, `runlog.Asked`, `spool.Spool`, `summary` and `store` (where tracking may be kept).
"""
