"""The composition root: settings, wiring, supervision, command line. Knows all other packages."""
