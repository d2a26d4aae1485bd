"""Trained networks for others: as weights or programs, checked, described, and read again."""

from crcd.export.classifier import Answer, Classifier, load_classifier
from crcd.export.export import Export, ExportOptions, export

__all__ = ["Answer", "Classifier", "Export", "ExportOptions", "export", "load_classifier"]
