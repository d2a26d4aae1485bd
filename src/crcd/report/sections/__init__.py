"""The sections of the page, each a list of figures."""
