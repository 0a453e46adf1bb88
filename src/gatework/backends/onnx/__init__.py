"""Cells as ONNX says them: the operators that it has (operators.py), and a step of any cell as its smaller ones."""
