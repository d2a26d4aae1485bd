"""What is chosen before PyTorch and Triton are first imported: threads, and Triton's interpreter without a GPU."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # workers side by side have a thread each
    os.environ["OMP_NUM_THREADS"] = "1"

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
