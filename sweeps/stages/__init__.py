"""What a sweep does: data, decode, train, finish, embed, score, log, each reading what is there and doing what is missing.

`run.run_sweep` is the way in for a sweep, `single` for one encoder, `scorefile` for scores that another program made.
"""
