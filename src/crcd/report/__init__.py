"""One self-contained HTML page about a run of distillation, or about a whole comparison."""
