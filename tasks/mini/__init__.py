"""The miniature suite: procedural, seeded data sets and the script that trains the miniature backbones."""
