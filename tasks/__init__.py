"""What is measured: data sets, protocols and their metrics, trials and the results that they owe. Imports models alone.

Rooms: `data`, `prepare` (publishers' layouts in), `protocols`, `metrics` (pure NumPy), `scorefiles`, `training`, `ledger`, `mini`.
"""
