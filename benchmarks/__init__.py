"""Ratio benchmarks, one file each: `python -m benchmarks.NAME [--smoke]` ends with one JSON line."""
