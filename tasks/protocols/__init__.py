"""Protocols: features or scores in, a `Result` and a table of what was scored out. Arrays only, no torch, no Ray."""
