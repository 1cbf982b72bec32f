"""Backbones: the registry and their transforms, weight files of every format in, the zoo that makes an `Encoder` of a name.

Others import `registry.resolve`, `transforms.Transform` and `zoo.load_backbone`; only the registry is free of torch.
"""
