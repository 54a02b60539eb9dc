"""Curves as text: what a chart consists of, and how it is drawn. Pure; no Textual, and nothing heavy here."""
