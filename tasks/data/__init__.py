"""Data sets as gelo keeps them, and images on their way through encoders: records, cards, catalogue, Ray Data, caches.

`catalogue.locate` opens a set by its name, `stream` decodes, `embed` fills the cache of features. Ray is imported in those two alone.
"""
