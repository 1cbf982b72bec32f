"""What is run: a spec to trials, trials to results, results to MLflow; and the command line. Imports models and tasks, never analysis.

Rooms: `cli` one file a command, `spec`, `state`, `stages`, `engine` (Ray), `tracking` (MLflow), `terminal`.
"""
