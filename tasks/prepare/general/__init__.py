"""Official downloads of the general suite, and folders of a user: one folder a class, lists, tars."""
