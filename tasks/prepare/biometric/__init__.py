"""Official downloads for faces, morphs and presentation attacks: pairs, templates, lists of attacks, videos."""
