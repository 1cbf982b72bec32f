"""What is concluded: result files and MLflow to frames, comparisons, findings, tables, plots and the report. Never imports sweeps.

`report.write_report` is the way in; `runs`, `folders` and `curves` are the only readers.
"""
