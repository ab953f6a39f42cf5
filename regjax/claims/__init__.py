"""Statements about regularization, each declared in a file, tested by studies, and judged by rules fixed beforehand."""
