"""The figures of the page as Vega-Lite specifications."""
