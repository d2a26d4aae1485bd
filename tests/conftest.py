"""Without a GPU the Triton kernel runs in Triton's interpreter; that is chosen before Triton is first imported."""

import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
