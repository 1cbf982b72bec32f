"""Scores that another program made: CSV or Parquet in, checked row by row, the metrics of a protocol out.

`scorefile.read` and `metrics` are what `gelo evaluate --scores` imports.
"""
