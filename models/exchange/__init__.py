"""What leaves gelo for other libraries, one file a format, and what the seed papers' checkpoints are here. Knows no trial.

Every format that is written is read back by the library it is for, and its features are compared with the encoder's, before it is kept.
"""
