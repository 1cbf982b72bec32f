"""What is concluded: result files and MLflow to frames, comparisons, findings, tables, pictures and the report. Never imports sweeps.

`report.write_report` is the way in; `runs`, `folders`, `curves` and `scores` are the only readers; `pictures` reads a trial's drift.json.
"""
