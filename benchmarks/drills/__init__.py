"""What breaks on a weekend, on purpose: `python -m benchmarks.drills.NAME`. docs/reliability.md has what came of it."""
