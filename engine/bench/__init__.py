"""How long a query takes, measured on real vectors: streaming against re-encoding, in several precisions."""
