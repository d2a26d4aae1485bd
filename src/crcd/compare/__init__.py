"""Methods compared over seeds and pairs of networks: which cells there are, what is measured, tables of it."""
