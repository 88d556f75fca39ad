"""Graphs of models in plate notation: said in a line of text, asked for independences, drawn as SVG and DOT."""

from .graph import Edge, Graph, Node, chain_rule

__all__ = ["Edge", "Graph", "Node", "chain_rule"]
