"""The report's page: what stands in each of its sections, and the one file that they become. `render.render` is the way in."""
