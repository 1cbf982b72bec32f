"""A sweep on a cluster that this machine is not part of: jobs through Ray's job API, and what its machines can do.

Imported by: cli.
"""
