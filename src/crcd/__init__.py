"""Complementary Relation Contrastive Distillation (CRCD): small image classifiers as good as large ones."""

__version__ = "0.1.0"
