"""What exact ranks are made of: margins in fast arithmetic, cosines in float64, workers over the pool."""
